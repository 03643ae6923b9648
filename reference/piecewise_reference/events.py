"""The event trace: a record of the backend's actions.

Counters, logs and tests are all derived from these events, so they cannot disagree. An event is
emitted after the action has succeeded.
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
    """A graph was split into ``pieces`` pieces, ``splitting`` of which contain splitting ops."""

    pieces: int
    splitting: int


@dataclass(frozen=True)
class Compile(Event):
    """The compiler named ``compiler`` compiled piece ``piece`` for ``compile_range``.

    ``saved`` is True if there is a cache entry for it now.
    """

    piece: int
    compile_range: Range
    compiler: str
    saved: bool = False


@dataclass(frozen=True)
class CacheHit(Event):
    """Piece ``piece`` was loaded from the cache instead of being compiled."""

    piece: int
    compile_range: Range
    compiler: str


@dataclass(frozen=True)
class CacheStore(Event):
    """The file ``path`` was written and now contains ``entries`` cache entries."""

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
    """Call ``listener`` with every future event. Events of hot paths are emitted only during a
    recording.
    """
    _listeners.append(listener)


def emit(event: Event) -> None:
    """Append ``event`` to every open recording, and call all listeners with it."""
    for recorder in _recorders:
        recorder.append(event)
    for listener in _listeners:
        listener(event)


def recording() -> bool:
    """Whether a recording is open. Hot paths check this before they create an event."""
    return bool(_recorders)


@contextmanager
def record_events() -> Iterator[list[Event]]:
    """Collect all events that are emitted while the context is open, in order."""
    events: list[Event] = []
    _recorders.append(events)
    try:
        yield events
    finally:
        # by identity: two recordings with equal content are still two recordings
        _recorders[:] = [recorder for recorder in _recorders if recorder is not events]
