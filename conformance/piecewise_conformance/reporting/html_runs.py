"""What the page says of whole runs: the verdicts, how they were run, the families, the reasons."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from ..core.requirements import FULL
from ..core.verdict import Status
from .report import CONFORMANT, INCOMPLETE, Report, Result, by_family, exit_status, verdict

# Of many cases the first of these speaks for the requirement.
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
NEEDS_A_LOOK = WORST[:5]

MEANINGS = {
    Status.ERROR: "the harness's own fault",
    Status.CRASH: "the process died",
    Status.TIMEOUT: "no end in time",
    Status.FAIL: "the requirement did not hold",
    Status.XPASS: "expected to fail, and passed",
    Status.XFAIL: "failed, as is known",
    Status.PASS: "the requirement held",
    Status.UNSUPPORTED: "the backend does not offer what is asked for",
    Status.NOT_RUN: "the machine lacks something",
}


@dataclass
class Run:
    """One report, with its results by requirement."""

    name: str
    folder: Path
    report: Report
    results: dict[str, list[Result]] = field(default_factory=dict)

    def status(self, id: str) -> Status | None:
        """The status that speaks for the requirement."""
        have = {each.status for each in self.results.get(id, ())}
        return next((each for each in WORST if each in have), None)


def runs_of(reports: Iterable[tuple[Path, Report]]) -> Iterator[Run]:
    """The runs by names that tell them apart: subject, then torch, then the folder."""
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


def scrolling(about: str) -> str:
    """The start of a box that scrolls sideways, also by keyboard."""
    return f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(about)}">'


def heads(names: Iterable[str]) -> str:
    """The row of headings of a table."""
    cells = "".join(f'<th scope="col">{escape(each)}</th>' for each in names)
    return f"<thead><tr>{cells}</tr></thead>"


def verdicts(runs: Sequence[Run]) -> Iterator[str]:
    """One row a run: its verdict, how many requirements it is about, which of them to look at."""
    titles = ("backend", "verdict", "requirements", "tests", "to look at")
    yield '<section aria-labelledby="verdict"><h2 id="verdict">Verdict</h2>'
    yield f'<table class="stack">{heads(titles)}<tbody>'
    for run in runs:
        results = run.report.results
        unmatched = len((run.report.footer or {}).get("unmatched", ()))
        problem = "" if run.report.complete else "the run did not come to its end"
        said = verdict(results, problem=problem, unmatched=unmatched)
        status = exit_status(results, problem=problem, unmatched=unmatched)
        colour = {CONFORMANT: "pass", INCOMPLETE: "xfail"}.get(status, "fail")
        part = f"<br><small>of a part: {escape(p)}</small>" if (p := _part(run)) else ""
        judged = {each.id for each in results if each.status is Status.PASS or each.failing}
        cells = (
            f'<span class="verdict {colour}">{escape(said)}</span>{part}',
            f"{len(judged)} of {len(run.results)} judged",
            counts(Counter(each.status.value for each in results)),
            _to_look_at(run),
        )
        row = "".join(
            f'<td data-label="{title}">{cell}</td>'
            for title, cell in zip(titles[1:], cells, strict=True)
        )
        yield f'<tr><th scope="row">{escape(run.name)}</th>{row}</tr>'
    yield "</tbody></table>"
    yield from _circumstances(runs)
    yield "</section>"


def _part(run: Run) -> str:
    """What the run was narrowed to, if it was."""
    header = run.report.header
    profiles = [each for each in header["profiles"] if each != FULL]
    parts = [f"profile {', '.join(profiles)}"] if profiles else []
    parts += [f"-k {header['keyword']}"] if header["keyword"] else []
    parts += [f"shard {header['shard']}"] if header.get("shard") else []
    return "; ".join(parts)


def _to_look_at(run: Run) -> str:
    ids = [id for id in sorted(run.results) if run.status(id) in NEEDS_A_LOOK]
    links = [f'<a class="id" href="#{escape(id)}">{escape(id)}</a>' for id in ids]
    return ", ".join(links) or "nothing"


def _circumstances(runs: Sequence[Run]) -> Iterator[str]:
    """How each run came about: what a second one would need to come out alike."""
    rows: dict[str, list[str]] = {}
    for number, run in enumerate(runs):
        for name, value in _how(run.report.header).items():
            rows.setdefault(name, [""] * len(runs))[number] = value
    yield "<details><summary>Versions, device, command</summary>"
    yield scrolling("Versions, device and command of each run")
    yield f"<table>{heads(['', *(run.name for run in runs)])}<tbody>"
    for name, values in rows.items():
        cells = "".join(f"<td>{escape(each) or '–'}</td>" for each in values)
        yield f'<tr><th scope="row">{escape(name)}</th>{cells}</tr>'
    yield "</tbody></table></div></details>"


def _how(header: Mapping[str, Any]) -> dict[str, str]:
    found = {name: str(version or "not installed") for name, version in header["versions"].items()}
    found |= {key: str(header[key]) for key in ("device", "seed")}
    for key in ("expectations", "started", "command"):
        if value := header.get(key):
            found[key] = str(value)
    return found


def counts(numbers: Mapping[str, int]) -> str:
    """How many there are of each status, the worst first."""
    parts = [
        f'<span class="s {each.value}">{numbers[each.value]} {each.value}</span>'
        for each in WORST
        if numbers.get(each.value)
    ]
    return ", ".join(parts) or '<span class="s none">–</span>'


def families(runs: Sequence[Run]) -> Iterator[str]:
    """Families by runs: how many tests of each status."""
    tables = [by_family(run.report.results) for run in runs]
    first: dict[str, str] = {}
    for id in sorted({id for run in runs for id in run.results}):
        first.setdefault(id.rpartition("-")[0], id)
    yield '<section aria-labelledby="matrix"><h2 id="matrix">Tests by family</h2>'
    yield scrolling("Tests by family")
    yield f"<table>{heads(['family', *(run.name for run in runs)])}<tbody>"
    for family in sorted({name for table in tables for name in table}):
        cells = "".join(f"<td>{counts(table.get(family, {}))}</td>" for table in tables)
        link = f'<a href="#{escape(first[family])}">{escape(family)}</a>'
        yield f'<tr><th scope="row">{link}</th>{cells}</tr>'
    yield "</tbody></table></div></section>"


def reasons(runs: Sequence[Run]) -> Iterator[str]:
    """Why tests were not judged, and how many for each reason; nothing if all were."""
    found: dict[tuple[Status, str], Counter[str]] = {}
    for run in runs:
        for each in run.report.results:
            if each.status in (Status.UNSUPPORTED, Status.NOT_RUN):
                reason = (each.message.strip().splitlines() or ["no reason given"])[0]
                found.setdefault((each.status, reason), Counter())[run.name] += 1
    if not found:
        return
    yield '<section aria-labelledby="unjudged"><h2 id="unjudged">Not judged, and why</h2>'
    yield scrolling("Reasons for what was not judged")
    titles = ["status", "reason", *(run.name for run in runs)]
    yield f'<table class="stack">{heads(titles)}<tbody>'
    for (status, reason), numbers in sorted(found.items(), key=lambda e: -e[1].total()):
        cells = "".join(
            f'<td data-label="{escape(run.name, quote=True)}">{numbers[run.name] or "–"}</td>'
            for run in runs
        )
        word = f'<span class="s {status.value}">{status.value}</span>'
        yield f'<tr><td data-label="status">{word}</td>'
        yield f'<th scope="row" class="reason">{escape(reason)}</th>{cells}</tr>'
    yield "</tbody></table></div></section>"
