"""Which requirements and cases a run was asked for, as its header keeps them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from ..core.requirements import FULL
from ..core.verdict import Status
from .report import Report, ReportError, Result


@dataclass(frozen=True)
class Selected:
    """The families and requirements of a run, and the cases; an empty field asks for all.

    A case is named by itself, or behind its requirement and a space.
    """

    families: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    cases: tuple[str, ...] = ()

    @classmethod
    def from_header(cls, header: Mapping[str, Any]) -> Selected:
        """What the run of ``header`` was asked for; everything for a report without the keys."""
        given = (header.get(key) or () for key in ("families", "ids", "cases"))
        return cls(*(tuple(each) for each in given))

    def to_header(self) -> dict[str, list[str]]:
        """The keys of the header."""
        return {
            "families": sorted(set(self.families)),
            "ids": sorted(set(self.ids)),
            "cases": sorted(set(self.cases)),
        }

    def has(self, id: str, case: str) -> bool:
        """Whether the run is about the case."""
        if (self.families or self.ids) and not (
            id.rpartition("-")[0] in self.families or id in self.ids
        ):
            return False
        return not self.cases or case in self.cases or f"{id} {case}" in self.cases

    def __str__(self) -> str:
        words = [f"--family {each}" for each in self.families]
        words += [f"--id {each}" for each in self.ids]
        several = len(self.cases) > 1
        words += [f"{len(self.cases)} cases"] if several else [f"--case {c}" for c in self.cases]
        return "; ".join(words)


def failed_in(report: Report) -> Selected:
    """The cases of ``report`` that a person looks at; ReportError if there are none."""
    bad = [each for each in report.results if _is_bad(each)]
    if not bad:
        raise ReportError("nothing failed in the report: there is nothing to run again")
    return Selected(cases=tuple(f"{each.id} {each.case}" for each in bad))


def _is_bad(result: Result) -> bool:
    return result.failing or result.status in (Status.ERROR, Status.XPASS)


def part_of(header: Mapping[str, Any]) -> str:
    """How the run of ``header`` was narrowed, in words; empty for a whole run."""
    profiles: Collection[str] = [each for each in header["profiles"] if each != FULL]
    parts = [f"profile {', '.join(profiles)}"] if profiles else []
    parts += [f"-k {header['keyword']}"] if header["keyword"] else []
    parts += [str(Selected.from_header(header))]
    parts += [f"shard {header['shard']}"] if header.get("shard") else []
    return "; ".join(part for part in parts if part)
