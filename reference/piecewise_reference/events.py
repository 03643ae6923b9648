"""What a backend did, as a trace: the one place where its work can be observed.

Counters, logs and tests all derive from these events, so that none of them can disagree with
another. An event is emitted after the thing that it reports has happened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from .ranges import Range


@dataclass(frozen=True)
class Event:
    """Base of all events."""


@dataclass(frozen=True)
class Split(Event):
    """A graph was split into ``pieces`` pieces, ``splitting`` of which hold splitting ops."""

    pieces: int
    splitting: int


@dataclass(frozen=True)
class Compile(Event):
    """The compiler named ``compiler`` compiled piece ``piece`` for ``compile_range``.

    ``saved`` tells whether there is a cache entry for it now.
    """

    piece: int
    compile_range: Range
    compiler: str
    saved: bool = False


@dataclass(frozen=True)
class CacheHit(Event):
    """Piece ``piece`` was loaded from the cache and not compiled."""

    piece: int
    compile_range: Range
    compiler: str


@dataclass(frozen=True)
class CacheStore(Event):
    """``entries`` cache entries now stand in the file ``path``."""

    entries: int
    path: str


@dataclass(frozen=True)
class Copy(Event):
    """Input ``index`` was copied into its static buffer at address ``address``."""

    index: int
    address: int


@dataclass(frozen=True)
class Capture(Event):
    """A static graph was captured for batches like ``descriptor``, in mode ``mode``."""

    descriptor: Any
    mode: str


@dataclass(frozen=True)
class Replay(Event):
    """The static graph captured for ``descriptor`` was replayed."""

    descriptor: Any
    mode: str


_recorders: list[list[Event]] = []
_listeners: list[Callable[[Event], None]] = []


def subscribe(listener: Callable[[Event], None]) -> None:
    """Have ``listener`` called with every event from now on, but for those of hot paths, which
    are emitted only while somebody records.
    """
    _listeners.append(listener)


def emit(event: Event) -> None:
    """Append ``event`` to every recording that is open, and tell those that subscribed."""
    for recorder in _recorders:
        recorder.append(event)
    for listener in _listeners:
        listener(event)


def recording() -> bool:
    """Whether anybody listens: hot paths ask before they build an event."""
    return bool(_recorders)


@contextmanager
def record_events() -> Iterator[list[Event]]:
    """Collect, in order, every event emitted while the context is open."""
    events: list[Event] = []
    _recorders.append(events)
    try:
        yield events
    finally:
        # by identity: two recordings with equal content are still two recordings
        _recorders[:] = [recorder for recorder in _recorders if recorder is not events]
