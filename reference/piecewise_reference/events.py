"""What a backend did, as a trace: the one place where its work can be observed.

Counters, logs and tests all derive from these events, so that none of them can disagree with
another. An event is emitted after the thing that it reports has happened.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

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
    """The compiler named ``compiler`` compiled piece ``piece`` for ``compile_range``."""

    piece: int
    compile_range: Range
    compiler: str


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


_recorders: list[list[Event]] = []


def emit(event: Event) -> None:
    """Append ``event`` to every recording that is open; costs one list test when none is."""
    for recorder in _recorders:
        recorder.append(event)


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
