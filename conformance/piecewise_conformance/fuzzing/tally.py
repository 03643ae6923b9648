"""What the workers of a search told, added up."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from piecewise_fixtures.generated import FEATURES

from ..core.verdict import Status
from .judging import NOT_CAPTURED
from .properties import DYNAMO


@dataclass(frozen=True)
class Death:
    """How a worker died, and at what: ``key`` is empty while no property was judged."""

    status: Status
    message: str
    name: str
    program: str
    key: str = ""


@dataclass
class Tally:
    """What the workers told so far."""

    programs: Counter[str] = field(default_factory=Counter)
    thrown: Counter[str] = field(default_factory=Counter)
    features: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    shortest: dict[str, dict[str, Any]] = field(default_factory=dict)  # by key of the property
    distinct: dict[str, set[str]] = field(default_factory=dict)
    errors: dict[str, dict[str, Any]] = field(default_factory=dict)  # of ours, by key
    deaths: list[Death] = field(default_factory=list)

    def take(self, line: dict[str, Any]) -> None:
        """One line of a worker."""
        if line["kind"] == "statistics":
            for name in ("programs", "thrown", "features", "statuses"):
                getattr(self, name).update(line[name])
        elif line["kind"] == "error":
            self.errors.setdefault(line["key"], line)
        elif line["kind"] == "failure":
            key = line["key"]
            best = self.shortest.get(key)
            if not line["whole"]:
                self.distinct.setdefault(key, set()).add(line["program"])
            if best is None or _better(line, best):
                self.shortest[key] = line

    def told(self, seconds: float) -> str:
        """One line of progress."""
        count = self.programs.total()
        seen = sum(1 for each in FEATURES if self.features[each])
        failing = {*self.shortest, *(each.key for each in self.deaths if each.key)}
        named = ", ".join(sorted(key.partition(":")[0] for key in failing)) or "none"
        return (
            f"{count} programs, {count / max(seconds, 1e-9):.1f}/s, {seen} of {len(FEATURES)} "
            f"features; failing: {named}; discarded: {self.thrown.total()}; "
            f"processes that died: {len(self.deaths)}{self._captured()}"
        )

    def _captured(self) -> str:
        """How many of the programs that run Dynamo captures as one graph."""
        tried = self.programs[DYNAMO] + self.thrown[NOT_CAPTURED]
        if not tried:
            return ""
        return f"; captured as one graph: {self.programs[DYNAMO]} of {tried}"


def _better(line: dict[str, Any], best: dict[str, Any]) -> bool:
    """Whether ``line`` is the better example: shortened, and short."""
    return (line["whole"], len(line["program"])) < (best["whole"], len(best["program"]))
