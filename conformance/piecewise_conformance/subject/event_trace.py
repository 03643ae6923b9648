"""What a subject did, in the harness's own terms.

A subject may emit events of any class; what counts is the name of the class and its attributes,
so that an adapter needs no import of the harness, and nobody's counters are trusted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ..core.verdict import Violation

# Each kind with the attributes that events of it must have; docs/subjects.md says what they are.
KINDS = {
    "Split": ("pieces", "splitting"),
    "Compile": ("piece", "compile_range"),
    "CacheHit": ("piece", "compile_range"),
    "Capture": ("descriptor", "mode"),
    "Replay": ("descriptor", "mode"),
}


@dataclass(frozen=True)
class Event:
    """One thing that the subject did. ``range`` is (start, end) in tokens where there is one, and
    ``mode`` the name of one; ``details`` is the event as it came.
    """

    kind: str
    piece: int | None = None
    range: tuple[int, int] | None = None
    mode: str | None = None
    details: Any = None


def _translate(event: Any) -> Event:
    compile_range: Any = getattr(event, "compile_range", None)
    mode: Any = getattr(event, "mode", None)
    if hasattr(compile_range, "start") and hasattr(compile_range, "end"):
        compile_range = (compile_range.start, compile_range.end)
    return Event(
        type(event).__name__,
        getattr(event, "piece", None),
        compile_range,
        getattr(mode, "name", mode),  # the text, or the member of an enum
        event,
    )


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
        """The events of one kind; a Violation if one lacks what it is to tell."""
        found = [event for event in self.events if event.kind == kind]
        for event in found:
            if missing := [name for name in KINDS[kind] if not hasattr(event.details, name)]:
                raise Violation(
                    f"a {kind} event has no {', '.join(missing)}",
                    expected=f"the attributes {', '.join(KINDS[kind])}",
                    got=repr(event.details)[:200],
                )
        return found
