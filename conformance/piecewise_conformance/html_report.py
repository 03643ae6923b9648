"""``report.html``: one file for people, of one run or of several side by side.

It is HTML that is whole without scripts; a script adds filters and copying. A policy in the page
forbids it the network. Status is always told in a word, never by colour alone.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from .badge import badge
from .report import Report, Result, by_family, exit_status, verdict
from .requirements import Requirement
from .verdict import Status

_PAGE = Path(__file__).parent / "page"
_CASES = 5  # of one requirement in one run; report.jsonl has the rest
_LIMIT = 4000  # characters of one text
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"

# Of many cases the first of these speaks for the requirement.
_WORST = (
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
_DETAILED = frozenset(_WORST[:6])


@dataclass
class _Run:
    """One report, with its results by requirement."""

    name: str
    folder: Path
    report: Report
    results: dict[str, list[Result]] = field(default_factory=dict)

    def status(self, id: str) -> Status | None:
        have = {each.status for each in self.results.get(id, ())}
        return next((each for each in _WORST if each in have), None)


def write_html(
    path: Path, reports: Sequence[tuple[Path, Report]], requirements: Mapping[str, Requirement]
) -> None:
    """Write the page over ``reports``, each with its folder, to ``path``."""
    text = page(reports, requirements)
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_text(text, encoding="utf-8", errors="backslashreplace")
    fresh.replace(path)
    if len(reports) == 1:
        path.with_name("badge.svg").write_text(badge(reports[0][1]), encoding="utf-8")


def page(reports: Sequence[tuple[Path, Report]], requirements: Mapping[str, Requirement]) -> str:
    """The page as text."""
    runs = list(_runs(reports))
    ids = sorted({id for run in runs for id in run.results})
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape('Conformance of ' + ', '.join(run.name for run in runs))}</title>",
        f"<style>{(_PAGE / 'report.css').read_text(encoding='utf-8')}</style></head><body>",
        '<a class="skip" href="#requirements">Skip to the requirements</a>',
        "<header><h1>Piecewise conformance</h1></header><main>",
        *_verdicts(runs),
        *_matrix(runs),
        *_filters(ids, runs),
        *_requirements(ids, runs, requirements),
        "</main>",
        f"<script>{(_PAGE / 'report.js').read_text(encoding='utf-8')}</script></body></html>",
    ]
    return "\n".join(parts)


def _runs(reports: Iterable[tuple[Path, Report]]) -> Iterator[_Run]:
    """The runs by names that tell them apart: subject, then torch, then the folder."""
    reports = list(reports)
    names = [_name(report, with_torch=False) for _, report in reports]
    if len(set(names)) < len(names):
        names = [_name(report, with_torch=True) for _, report in reports]
    for (folder, report), name in zip(reports, names, strict=True):
        unique = name if names.count(name) == 1 else f"{name} ({folder})"
        run = _Run(unique, folder, report)
        for each in report.results:
            run.results.setdefault(each.id, []).append(each)
        yield run


def _name(report: Report, *, with_torch: bool) -> str:
    subject = report.header["subject"]
    parts = [subject["name"], subject["version"]]
    parts += [f"torch {report.header['versions'].get('torch')}"] if with_torch else []
    return " ".join(part for part in parts if part)


def _verdicts(runs: Sequence[_Run]) -> Iterator[str]:
    yield '<section aria-labelledby="verdict"><h2 id="verdict">Verdict</h2><div class="scroll">'
    yield "<table><thead><tr>"
    titles = ("backend", "verdict", "results", "versions", "device", "seed", "started")
    yield "".join(f'<th scope="col">{each}</th>' for each in titles) + "</tr></thead><tbody>"
    for run in runs:
        header, results = run.report.header, run.report.results
        unmatched = len((run.report.footer or {}).get("unmatched", ()))
        problem = "" if run.report.complete else "the run did not come to its end"
        said = verdict(results, problem=problem, unmatched=unmatched)
        good = exit_status(results, problem=problem, unmatched=unmatched) == 0
        versions = ", ".join(f"{k} {v}" for k, v in header["versions"].items() if v)
        cells = [
            f'<span class="verdict {"pass" if good else "fail"}">{escape(said)}</span>',
            _counts(Counter(each.status.value for each in results)),
            escape(versions),
            escape(str(header["device"])),
            escape(str(header["seed"])),
            escape(str(header.get("started", ""))),
        ]
        row = "".join(f"<td>{each}</td>" for each in cells)
        yield f'<tr><th scope="row">{escape(run.name)}</th>{row}</tr>'
    yield "</tbody></table></div></section>"


def _counts(counts: Mapping[str, int]) -> str:
    parts = [
        f'<span class="s {each.value}">{counts[each.value]} {each.value}</span>'
        for each in _WORST
        if counts.get(each.value)
    ]
    return ", ".join(parts) or '<span class="s none">–</span>'


def _matrix(runs: Sequence[_Run]) -> Iterator[str]:
    tables = [by_family(run.report.results) for run in runs]
    yield '<section aria-labelledby="matrix"><h2 id="matrix">By family</h2><div class="scroll">'
    yield '<table><thead><tr><th scope="col">family</th>'
    yield "".join(f'<th scope="col">{escape(run.name)}</th>' for run in runs)
    yield "</tr></thead><tbody>"
    for family in sorted({name for table in tables for name in table}):
        cells = "".join(f"<td>{_counts(table.get(family, {}))}</td>" for table in tables)
        yield f'<tr><th scope="row">{escape(family)}</th>{cells}</tr>'
    yield "</tbody></table></div></section>"


def _filters(ids: Sequence[str], runs: Sequence[_Run]) -> Iterator[str]:
    have = {each.status for run in runs for each in run.report.results}
    yield '<section aria-labelledby="requirements"><h2 id="requirements">Requirements</h2>'
    yield '<form id="filters" hidden aria-label="Filter the requirements">'
    yield "<fieldset><legend>status</legend>"
    for each in _WORST:
        if each in have:
            box = f'<input type="checkbox" name="status" value="{each.value}">'
            yield f"<label>{box} {each.value}</label>"
    yield '</fieldset><label>family <select name="family"><option value="">all</option>'
    for family in sorted({id.rpartition("-")[0] for id in ids}):
        yield f"<option>{escape(family)}</option>"
    yield '</select></label><label>text <input type="search" name="text"></label>'
    yield '<button type="reset">Show all</button></form>'
    yield f'<p id="shown" role="status">{len(ids)} of {len(ids)} requirements</p>'


def _requirements(
    ids: Sequence[str], runs: Sequence[_Run], requirements: Mapping[str, Requirement]
) -> Iterator[str]:
    yield '<div class="scroll"><table class="requirements"><thead><tr>'
    yield '<th scope="col">requirement</th><th scope="col">what it says</th>'
    yield "".join(f'<th scope="col">{escape(run.name)}</th>' for run in runs) + "</tr></thead>"
    for id in ids:
        yield from _requirement(id, runs, requirements.get(id))
    yield "</table></div></section>"


def _requirement(id: str, runs: Sequence[_Run], found: Requirement | None) -> Iterator[str]:
    statuses = [run.status(id) for run in runs]
    sentence = found.sentence if found else "(not in this version's spec)"
    level = found.level if found else next(r.results[id][0].level for r in runs if id in r.results)
    have = sorted({each.status.value for run in runs for each in run.results.get(id, ())})
    text = escape(f"{id} {sentence}".lower(), quote=True)
    yield (
        f'<tbody id="{escape(id)}" data-family="{escape(id.rpartition("-")[0])}" '
        f'data-statuses="{" ".join(have)}" data-text="{text}">'
    )
    link = f'<a href="#{escape(id)}">{escape(id)}</a>'
    yield f'<tr><th scope="row">{link} <small>{level}</small></th>'
    yield f'<td class="sentence">{escape(sentence)}</td>'
    for run, status in zip(runs, statuses, strict=True):
        word = status.value if status else "–"
        some = Counter(each.status for each in run.results.get(id, ()))
        number = f" <small>{some[status]} of {sum(some.values())}</small>" if status else ""
        label = f' data-run="{escape(run.name, quote=True)}"' if len(runs) > 1 else ""
        colour = status.value if status else "none"
        yield f'<td{label}><span class="s {colour}">{word}</span>{number}</td>'
    yield "</tr>"
    shown = [(run, [r for r in run.results.get(id, ()) if r.status in _DETAILED]) for run in runs]
    if any(bad for _, bad in shown):
        yield f'<tr><td colspan="{len(runs) + 2}"><details>'
        yield f"<summary>{escape(id)}: what happened</summary>"
        for run, bad in shown:
            yield from _failures(run, bad, with_name=len(runs) > 1)
        yield "</details></td></tr>"
    yield "</tbody>"


def _failures(run: _Run, bad: Sequence[Result], *, with_name: bool) -> Iterator[str]:
    if bad and with_name:
        yield f"<h3>{escape(run.name)}</h3>"
    for each in bad[:_CASES]:
        status = each.status.value
        yield f'<h4><span class="s {status}">{status}</span> {escape(each.case)}</h4>'
        yield _text("", each.message)
        yield _text("expected", each.expected)
        yield _text("got", each.got)
        yield _text("program", each.program)
        yield _text("run alone", each.how_to_run, copy=True)
        if each.repro:
            yield _text(f"repro: {each.repro}", _repro(run.folder, each.repro), copy=True)
    if len(bad) > _CASES:
        yield f"<p>{len(bad) - _CASES} more cases, in report.jsonl</p>"


def _text(label: str, text: str, *, copy: bool = False) -> str:
    if not text.strip():
        return ""
    if len(text) > _LIMIT and not copy:  # what is copied must be whole
        text = f"{text[:_LIMIT]}\n... {len(text) - _LIMIT} characters more, in report.jsonl"
    heading = f"<div>{escape(label)}</div>" if label else ""
    button = (
        f'<button type="button" class="copy" '
        f'aria-label="Copy: {escape(label, quote=True)}">Copy</button>'
        if copy
        else ""
    )
    return f"{heading}{button}<pre>{escape(text)}</pre>"


def _repro(folder: Path, repro: str) -> str:
    """The script itself. A path that leaves the report's folder is not followed."""
    path = (folder / repro).resolve()
    if not path.is_relative_to(folder.resolve()):
        return "(outside of the report's folder: not shown)"
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        return f"(cannot be read: {error.strerror})"
