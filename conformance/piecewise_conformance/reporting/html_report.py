"""Write ``report.html``: one self-contained page for people, of one run or of several side by side.

The page is complete without scripts; its script adds filters and copy buttons. A content security
policy in the page blocks all network access. Every status is written as a word, so that nobody
depends on colours. The templates decide the layout; this module prepares their data.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..core.requirements import CONSEQUENCES, Requirement
from ..core.verdict import Status
from .badge import badge
from .html_picture import picture
from .html_runs import (
    WORST,
    Run,
    circumstances,
    families,
    reasons,
    runs_of,
    verdict_of,
    worst_first,
)
from .report import Report, Result, how_a_script_went, how_to_run_script
from .templating import render

_TEMPLATE = Path(__file__).parent / "templates" / "report.html.j2"
_PICTURES = 3  # at most: a page of many runs would be slow with a picture of each
_DETAILED = frozenset(WORST[:6])


def write_html(
    path: Path, reports: Sequence[tuple[Path, Report]], requirements: Mapping[str, Requirement]
) -> None:
    """Write the page about ``reports``, each given with its folder, to ``path``."""
    text = page(reports, requirements)
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_text(text, encoding="utf-8", errors="backslashreplace")
    fresh.replace(path)
    if len(reports) == 1:
        path.with_name("badge.svg").write_text(badge(reports[0][1]), encoding="utf-8")


def page(reports: Sequence[tuple[Path, Report]], requirements: Mapping[str, Requirement]) -> str:
    """Return the page as text."""
    runs = list(runs_of(reports))
    bad = {id: run.results[id][0].rank for run in runs for id in worst_first(run)}
    known = {id for run in runs for id in run.results}
    ids = sorted(known, key=lambda id: (bad.get(id, len(CONSEQUENCES) + 1), id))
    rows = [_row(id, runs, requirements.get(id)) for id in ids]
    having = Counter(status for row in rows for status in row.statuses)
    return render(
        _TEMPLATE,
        runs=[run.name for run in runs],
        verdicts=[verdict_of(run, requirements) for run in runs],
        pictures=[picture(each, requirements) for each in runs if len(runs) <= _PICTURES],
        circumstances=circumstances(runs),
        families=families(runs),
        reasons=reasons(runs),
        statuses=[(each.value, having[each.value]) for each in WORST if each.value in having],
        requirements=rows,
    )


@dataclass(frozen=True)
class Row:
    """One requirement with its results in all runs.

    ``sentence`` and ``why`` are split at backticks: every second part is code. A cell is a status,
    how many tests have it, and how many tests the run has; the status is empty without tests.
    """

    id: str
    family: str
    level: str
    consequence: str
    sentence: list[str]
    why: list[str]
    search: str  # the text that the text filter looks in
    statuses: list[str]
    cells: list[tuple[str, int, int]]
    failures: list[tuple[str, list[Failure]]]  # with the name of the run


@dataclass(frozen=True)
class Failure:
    """A result that a reader should look at, with its repro script if it has one."""

    result: Result
    script: str
    command: str
    went: str  # how the script's own run went; empty if it was not run


def _row(id: str, runs: Sequence[Run], found: Requirement | None) -> Row:
    results = [run.results.get(id, []) for run in runs]
    sentence = found.sentence if found else "(not in the spec of this release)"
    failures = [
        (run.name, [_failure(run.folder, each) for each in some if each.status in _DETAILED])
        for run, some in zip(runs, results, strict=True)
    ]
    return Row(
        id=id,
        family=id.rpartition("-")[0],
        level=found.level if found else next(some[0].level for some in results if some),
        consequence=next(some[0].consequence for some in results if some),
        sentence=_split_code(sentence),
        why=_split_code(found.why) if found and found.why else [],
        search=f"{id} {found.consequence if found else ''} {sentence}".lower(),
        statuses=sorted({each.status.value for some in results for each in some}),
        cells=[_cell(run.status(id), some) for run, some in zip(runs, results, strict=True)],
        failures=[(run, bad) for run, bad in failures if bad],
    )


def _split_code(text: str) -> list[str]:
    return re.split(r"`([^`]+)`", text)


def _cell(worst: Status | None, results: Sequence[Result]) -> tuple[str, int, int]:
    number = sum(each.status is worst for each in results)
    return worst.value if worst else "", number, len(results)


def _failure(folder: Path, result: Result) -> Failure:
    if not result.repro:
        return Failure(result, script="", command="", went="")
    return Failure(
        result,
        script=_repro(folder, result.repro),
        command=how_to_run_script(folder / result.repro),
        went=how_a_script_went(result) if result.repro_run else "",
    )


def _repro(folder: Path, repro: str) -> str:
    """Return the script for reading. A path that leaves the report's folder is not followed."""
    path = (folder / repro).resolve()
    if not path.is_relative_to(folder.resolve()):
        return "(not shown: outside the folder of the report)"
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        return f"(cannot be read: {error.strerror})"
