"""Which requirements and cases a run selects, as its header stores them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from ..core.levels import level_named
from ..core.requirements import FULL
from ..core.verdict import Status
from .report import Report, ReportError, Result


@dataclass(frozen=True)
class Selected:
    """The level, families, requirements and cases that a run selects; an empty field selects all.

    A case is its name alone, or its requirement, a space and its name.
    """

    families: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    cases: tuple[str, ...] = ()
    level: str = ""

    @classmethod
    def from_header(cls, header: Mapping[str, Any]) -> Selected:
        """Return what the run of ``header`` selects; everything for a report without the keys."""
        families, ids, cases = (
            tuple(header.get(key) or ()) for key in ("families", "ids", "cases")
        )
        return cls(families, ids, cases, header.get("level") or "")

    def to_header(self) -> dict[str, Any]:
        """Return the keys of the header."""
        return {
            "families": sorted(set(self.families)),
            "ids": sorted(set(self.ids)),
            "cases": sorted(set(self.cases)),
            "level": self.level or None,
            "level_digest": level_named(self.level).digest if self.level else None,
        }

    def has(self, id: str, case: str) -> bool:
        """Return whether the run selects the case."""
        if self.level and id not in level_named(self.level).sentences:
            return False
        if (self.families or self.ids) and not (
            id.rpartition("-")[0] in self.families or id in self.ids
        ):
            return False
        return not self.cases or case in self.cases or f"{id} {case}" in self.cases

    def __str__(self) -> str:
        words = [f"--level {self.level}"] if self.level else []
        words += [f"--family {each}" for each in self.families]
        words += [f"--id {each}" for each in self.ids]
        several = len(self.cases) > 1
        words += [f"{len(self.cases)} cases"] if several else [f"--case {c}" for c in self.cases]
        return "; ".join(words)


def failed_in(report: Report) -> Selected:
    """Return the cases of ``report`` that failed; ReportError if there are none."""
    bad = [each for each in report.results if _is_bad(each)]
    if not bad:
        raise ReportError("nothing failed in the report; there is nothing to run again")
    return Selected(cases=tuple(f"{each.id} {each.case}" for each in bad))


def _is_bad(result: Result) -> bool:
    return result.failing or result.status in (Status.ERROR, Status.XPASS)


def part_of(header: Mapping[str, Any]) -> str:
    """Describe how the run of ``header`` was narrowed; empty for a full run."""
    profiles: Collection[str] = [each for each in header["profiles"] if each != FULL]
    parts = [f"profile {', '.join(profiles)}"] if profiles else []
    parts += [f"-k {header['keyword']}"] if header["keyword"] else []
    parts += [str(Selected.from_header(header))]
    parts += [f"shard {header['shard']}"] if header.get("shard") else []
    return "; ".join(part for part in parts if part)
