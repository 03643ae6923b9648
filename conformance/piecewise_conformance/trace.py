"""What a subject did, in the harness's own terms.

A subject may emit events of any class; what counts is the name of the class and its attributes,
so that an adapter needs no import of the harness, and nobody's counters are trusted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from .verdict import Violation

KINDS = ("Split", "Compile", "CacheHit", "CacheStore", "Copy", "Capture", "Replay")


@dataclass(frozen=True)
class Event:
    """One thing that the subject did. ``range`` is (start, end) in tokens where there is one."""

    kind: str
    piece: int | None = None
    range: tuple[int, int] | None = None
    details: Any = None


def _translate(event: Any) -> Event:
    compile_range = getattr(event, "compile_range", None)
    if compile_range is not None and not isinstance(compile_range, tuple):
        compile_range = (compile_range.start, compile_range.end)
    return Event(type(event).__name__, getattr(event, "piece", None), compile_range, event)


class Trace:
    """The events of one recording, in order."""

    def __init__(self, events: Iterable[Any]) -> None:
        self.events = [_translate(event) for event in events]

    def only(self, kind: str) -> Event:
        """The one event of ``kind``; a Violation if there is another number of them."""
        found = self.of(kind)
        if len(found) != 1:
            raise Violation(f"{kind} events", expected="one", got=str(found)[:300])
        return found[0]

    def of(self, kind: str) -> list[Event]:
        """The events of one kind."""
        assert kind in KINDS, kind
        return [event for event in self.events if event.kind == kind]
