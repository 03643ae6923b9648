"""Events of a subject that emits none: what its adapter saw it do.

An adapter subclasses the parts whose work is to be seen and calls ``emit``; ``record_events`` is
then its own ``record_events``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Split:
    """A graph was split into pieces, ``splitting`` of them of splitting ops."""

    pieces: int
    splitting: int


@dataclass(frozen=True)
class Compile:
    """A piece was compiled for a range; ``saved`` if the cache has an entry for it."""

    piece: int
    compile_range: Any
    compiler: str
    saved: bool


@dataclass(frozen=True)
class CacheHit:
    """A piece was loaded for a range."""

    piece: int
    compile_range: Any
    compiler: str


@dataclass(frozen=True)
class Capture:
    """A static graph was captured for batches like ``descriptor``, in mode ``mode``."""

    descriptor: Any
    mode: str


@dataclass(frozen=True)
class Replay:
    """The static graph captured for ``descriptor`` was replayed."""

    descriptor: Any
    mode: str


_recordings: list[list[Any]] = []


def emit(event: Any) -> None:
    """Note ``event`` in all recordings that are open."""
    for each in _recordings:
        each.append(event)


@contextmanager
def record_events() -> Iterator[list[Any]]:
    """What is emitted while this is open."""
    events: list[Any] = []
    _recordings.append(events)
    try:
        yield events
    finally:
        _recordings[:] = [each for each in _recordings if each is not events]
