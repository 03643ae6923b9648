"""Prepare the picture of a run: each requirement as a square, by family and by what is at stake."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..core.requirements import CONSEQUENCES, Requirement
from .html_runs import WORST, Run


@dataclass(frozen=True)
class Square:
    """One requirement, in the colour of its worst status."""

    id: str
    status: str
    title: str


@dataclass(frozen=True)
class Row:
    """One family: its squares in each column, and how long its tests took."""

    family: str
    cells: list[list[Square]]
    seconds: float
    share: float  # of the longest family, in percent: the length of its bar


@dataclass(frozen=True)
class Picture:
    """The picture of one run."""

    run: str
    by: str  # what the columns are
    columns: list[str]
    rows: list[Row]
    statuses: list[str]  # that occur, for the legend


def picture(run: Run, requirements: Mapping[str, Requirement]) -> Picture:
    """Arrange requirements by family and consequence, or by status if no consequence is known."""
    statuses = {id: status.value for id in run.results if (status := run.status(id))}
    used = [each.value for each in WORST if each.value in statuses.values()]
    at_stake = {id: _consequence(requirements.get(id)) for id in statuses}
    by, columns, of = "consequence", list(CONSEQUENCES), at_stake
    if not any(at_stake.values()):
        by, columns, of = "status", used, statuses
    elif others := sorted({each for each in at_stake.values() if each not in CONSEQUENCES}):
        columns += others
    families = sorted({id.rpartition("-")[0] for id in statuses})
    took = {
        family: sum(each.seconds for each in run.report.results if each.family == family)
        for family in families
    }
    longest = max(took.values(), default=0.0) or 1.0
    rows = [
        Row(
            family,
            [_squares(family, each, statuses, of, requirements) for each in columns],
            took[family],
            round(100 * took[family] / longest, 1),
        )
        for family in families
    ]
    return Picture(run.name, by, [each or "not named" for each in columns], rows, used)


def _consequence(requirement: Requirement | None) -> str:
    """Return the consequence; empty for a requirement that the spec does not have."""
    return str(getattr(requirement, "consequence", "") or "")


def _squares(
    family: str,
    column: str,
    statuses: Mapping[str, str],
    of: Mapping[str, str],
    requirements: Mapping[str, Requirement],
) -> list[Square]:
    ids: Sequence[str] = [
        id for id in sorted(statuses) if id.rpartition("-")[0] == family and of[id] == column
    ]
    return [
        Square(
            id,
            statuses[id],
            f"{id}: {statuses[id]}"
            + (f" – {requirements[id].sentence}" if id in requirements else ""),
        )
        for id in ids
    ]
