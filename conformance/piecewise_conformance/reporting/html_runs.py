"""Prepare what ``report.html`` shows of whole runs: verdicts, circumstances, families, reasons."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..core.requirements import Requirement
from ..core.verdict import Status
from .report import (
    CONFORMANT,
    INCOMPLETE,
    Report,
    Result,
)
from .selected import part_of
from .verdict import by_family, exit_status, level_result, requirements_of, scope_of, verdict

# Of the statuses of a requirement's tests, the first in this order is shown for the requirement.
WORST = (
    Status.ERROR,
    Status.CRASH,
    Status.TIMEOUT,
    Status.FAIL,
    Status.XPASS,
    Status.XFAIL,
    Status.PASS,
    Status.UNSUPPORTED,
    Status.NOT_RUN,
)
_NEEDS_A_LOOK = WORST[:5]

Counts = list[tuple[str, int]]
"""How many tests have each status, the worst status first; a status without tests is left out."""


@dataclass
class Run:
    """One report, with its results by requirement."""

    name: str
    folder: Path
    report: Report
    results: dict[str, list[Result]] = field(default_factory=dict)

    def status(self, id: str) -> Status | None:
        """Return the worst status of the requirement's tests; None if it has no test here."""
        have = {each.status for each in self.results.get(id, ())}
        return next((each for each in WORST if each in have), None)


def runs_of(reports: Iterable[tuple[Path, Report]]) -> Iterator[Run]:
    """Yield the runs under distinct names: the subject, then torch, then the folder if needed."""
    reports = list(reports)
    names = [_name(report, with_torch=False) for _, report in reports]
    if len(set(names)) < len(names):
        names = [_name(report, with_torch=True) for _, report in reports]
    for (folder, report), name in zip(reports, names, strict=True):
        unique = name if names.count(name) == 1 else f"{name} ({folder})"
        run = Run(unique, folder, report)
        for each in report.results:
            run.results.setdefault(each.id, []).append(each)
        yield run


def _name(report: Report, *, with_torch: bool) -> str:
    subject = report.header["subject"]
    parts = [subject["name"], subject["version"]]
    parts += [f"torch {report.header['versions'].get('torch')}"] if with_torch else []
    return " ".join(part for part in parts if part)


def _counts(numbers: Mapping[str, int]) -> Counts:
    return [(each.value, numbers[each.value]) for each in WORST if numbers.get(each.value)]


@dataclass(frozen=True)
class Verdict:
    """The row of one run in the table of verdicts."""

    run: str
    text: str
    colour: str  # the CSS class
    part: str  # how the run was narrowed; empty for a full run
    level: str  # the result for the level of the run; empty without a level
    judged: int
    requirements: int
    tests: Counts
    to_look_at: list[str]


def verdict_of(run: Run, requirements: Mapping[str, Requirement]) -> Verdict:
    """Return the verdict of ``run`` and the requirements that a reader should look at."""
    results = run.report.results
    unmatched = len((run.report.footer or {}).get("unmatched", ()))
    problem = "" if run.report.complete else "the run did not finish"
    status = exit_status(results, problem=problem, unmatched=unmatched)
    header = run.report.header
    scope = scope_of(results, requirements_of(header, requirements), header["device"])
    return Verdict(
        run=run.name,
        text=verdict(results, problem=problem, unmatched=unmatched, scope=scope),
        colour={CONFORMANT: "pass", INCOMPLETE: "xfail"}.get(status, "fail"),
        part=part_of({**header, "level": None}),
        level=str(level_result(header, results) or ""),
        judged=scope.judged,
        requirements=scope.of,
        tests=_counts(Counter(each.status.value for each in results)),
        to_look_at=worst_first(run),
    )


def worst_first(run: Run) -> list[str]:
    """Return the requirements that a reader should look at, the worst consequence first."""
    bad = [id for id in run.results if run.status(id) in _NEEDS_A_LOOK]
    return sorted(bad, key=lambda id: (run.results[id][0].rank, id))


def circumstances(runs: Sequence[Run]) -> dict[str, list[str]]:
    """Return the versions, device, seed and command of every run: one row each, one cell a run."""
    rows: dict[str, list[str]] = {}
    for number, run in enumerate(runs):
        header = run.report.header
        found = {name: version or "not installed" for name, version in header["versions"].items()}
        found |= {key: header[key] for key in ("device", "seed")}
        optional = ("expectations", "started", "command")
        found |= {key: header[key] for key in optional if header.get(key)}
        for name, value in found.items():
            rows.setdefault(name, [""] * len(runs))[number] = str(value)
    return rows


def families(runs: Sequence[Run]) -> list[tuple[str, str, list[Counts]]]:
    """Return every family with the ID of its first requirement and the counts of every run."""
    tables = [by_family(run.report.results) for run in runs]
    first: dict[str, str] = {}
    for id in sorted({id for run in runs for id in run.results}):
        first.setdefault(id.rpartition("-")[0], id)
    return [
        (name, first[name], [_counts(table.get(name, {})) for table in tables])
        for name in sorted(first)
    ]


def reasons(runs: Sequence[Run]) -> list[tuple[str, str, list[int]]]:
    """Return the status of tests that were not judged, the reason, and how many every run has.

    The most frequent reason is the first.
    """
    found: dict[tuple[str, str], list[int]] = {}
    for number, run in enumerate(runs):
        for each in run.report.results:
            if each.status in (Status.UNSUPPORTED, Status.NOT_RUN):
                reason = (each.message.strip().splitlines() or ["no reason given"])[0]
                found.setdefault((each.status.value, reason), [0] * len(runs))[number] += 1
    rows = [(status, reason, numbers) for (status, reason), numbers in found.items()]
    return sorted(rows, key=lambda row: -sum(row[2]))
