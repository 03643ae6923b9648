"""``report.html``: one file for people, of one run or of several side by side.

It is HTML that is whole without scripts; a script adds filters and copying. A policy in the page
forbids it the network. Status is always told in a word, never by colour alone.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path

from ..core.requirements import Requirement
from .badge import badge
from .html_runs import (
    MEANINGS,
    WORST,
    Run,
    families,
    heads,
    reasons,
    runs_of,
    scrolling,
    verdicts,
)
from .report import Report, Result, how_a_script_went
from .script_text import readable

_PAGE = Path(__file__).parent / "page"
_CASES = 5  # of one requirement in one run; report.jsonl has the rest
_LIMIT = 4000  # characters of one text
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
_DETAILED = frozenset(WORST[:6])
_FEW = 3  # runs that fit beside the sentences, so that their names stay in sight


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
    runs = list(runs_of(reports))
    ids = sorted({id for run in runs for id in run.results})
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape('Conformance of ' + ', '.join(run.name for run in runs))}</title>",
        f"<style>{(_PAGE / 'report.css').read_text(encoding='utf-8')}</style></head><body>",
        '<a class="skip" href="#requirements">Skip to the requirements</a>',
        "<header><h1>Piecewise conformance</h1>",
        "<p>What a piecewise <code>torch.compile</code> backend was asked, requirement by "
        "requirement, and what came of it.</p></header><main>",
        *verdicts(runs),
        *families(runs),
        *reasons(runs),
        *_filters(ids, runs),
        *_requirements(ids, runs, requirements),
        "</main>",
        f"<script>{(_PAGE / 'report.js').read_text(encoding='utf-8')}</script></body></html>",
    ]
    return "\n".join(parts)


def _filters(ids: Sequence[str], runs: Sequence[Run]) -> Iterator[str]:
    by_id = ({r.status for run in runs for r in run.results.get(id, ())} for id in ids)
    having = Counter(status for statuses in by_id for status in statuses)
    yield '<section aria-labelledby="requirements"><h2 id="requirements">Requirements</h2>'
    yield '<form id="filters" hidden aria-label="Filter the requirements">'
    yield "<fieldset><legend>with a test that came out as</legend>"
    for each in WORST:
        if each in having:
            box = f'<input type="checkbox" name="status" value="{each.value}">'
            yield f"<label>{box} {each.value} <small>({having[each]})</small></label>"
    yield '</fieldset><label>family <select name="family"><option value="">all</option>'
    for family in sorted({id.rpartition("-")[0] for id in ids}):
        yield f"<option>{escape(family)}</option>"
    yield '</select></label><label>text <input type="search" name="text"></label>'
    yield '<button type="reset">Show all</button></form>'
    yield f'<p id="shown" role="status">{len(ids)} of {len(ids)} requirements</p>'
    yield "<details><summary>What the words mean</summary><dl>"
    for each in WORST:
        if each in having:
            yield f'<dt><span class="s {each.value}">{each.value}</span></dt>'
            yield f"<dd>{MEANINGS[each]}</dd>"
    yield "<dt>SHOULD</dt><dd>it is shown and counted, and does not decide the verdict; all others "
    yield "do</dd><dt>3 of 9</dt><dd>of the 9 tests of the requirement 3 came out so</dd>"
    yield "</dl></details>"


def _requirements(
    ids: Sequence[str], runs: Sequence[Run], requirements: Mapping[str, Requirement]
) -> Iterator[str]:
    few = " few" if len(runs) <= _FEW else ""
    yield scrolling("The requirements").replace('"scroll"', f'"scroll{few}"')
    titles = ["requirement", "what it says", *(run.name for run in runs)]
    yield f'<table class="requirements">{heads(titles)}'
    for id in ids:
        yield from _requirement(id, runs, requirements.get(id))
    yield "</table></div></section>"


def _requirement(id: str, runs: Sequence[Run], found: Requirement | None) -> Iterator[str]:
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
    should = f" <small>{level}</small>" if level != "MUST" else ""
    yield f'<tr><th scope="row">{link}{should}</th>'
    yield f'<td class="sentence">{_prose(sentence)}</td>'
    for run, status in zip(runs, statuses, strict=True):
        word = status.value if status else "–"
        some = Counter(each.status for each in run.results.get(id, ()))
        total = some.total()
        number = f" <small>{some[status]} of {total}</small>" if status and total > 1 else ""
        label = f' data-run="{escape(run.name, quote=True)}"' if len(runs) > 1 else ""
        colour = status.value if status else "none"
        yield f'<td class="s {colour}"{label}>{word}{number}</td>'
    yield "</tr>"
    shown = [(run, [r for r in run.results.get(id, ()) if r.status in _DETAILED]) for run in runs]
    if any(bad for _, bad in shown):
        yield f'<tr class="more"><td colspan="{len(runs) + 2}"><details>'
        yield f"<summary>{escape(id)}: what happened</summary>"
        if found and found.why:
            yield f"<p>Why it is asked: {_prose(found.why)}</p>"
        for run, bad in shown:
            yield from _failures(run, bad, with_name=len(runs) > 1)
        yield "</details></td></tr>"
    yield "</tbody>"


def _prose(text: str) -> str:
    """A sentence of the spec, which is Markdown: what stands in backticks is code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _failures(run: Run, bad: Sequence[Result], *, with_name: bool) -> Iterator[str]:
    level = "h4" if with_name else "h3"
    if bad and with_name:
        yield f"<h3>{escape(run.name)}</h3>"
    for each in bad[:_CASES]:
        status = each.status.value
        yield (
            f'<{level}><span class="s {status}">{status}</span> '
            f"<code>{escape(each.case)}</code></{level}>"
        )
        yield _text("", each.message)
        yield _text("expected", each.expected)
        yield _text("got", each.got)
        yield _text("program", each.program)
        yield _text("run alone", each.how_to_run, copy=True)
        if each.repro:
            went = f" ({how_a_script_went(each)})" if each.repro_run else ""
            yield _text(f"repro{went}", f"python {run.folder / each.repro}", copy=True)
            yield _text("what the repro runs", _repro(run.folder, each.repro))
    if len(bad) > _CASES:
        yield f"<p>{len(bad) - _CASES} more cases, in report.jsonl</p>"


def _text(label: str, text: str, *, copy: bool = False) -> str:
    if not text.strip():
        return ""
    if len(text) > _LIMIT and not copy:  # what is copied must be whole
        text = f"{text[:_LIMIT]}\n... {len(text) - _LIMIT} characters more, in report.jsonl"
    button = (
        f' <button type="button" class="copy" '
        f'aria-label="Copy: {escape(label, quote=True)}">Copy</button>'
        if copy
        else ""
    )
    heading = f'<div class="label">{escape(label)}{button}</div>' if label else ""
    return f'<div class="text">{heading}<pre>{escape(text)}</pre></div>'


def _repro(folder: Path, repro: str) -> str:
    """The script, to be read. A path that leaves the report's folder is not followed."""
    path = (folder / repro).resolve()
    if not path.is_relative_to(folder.resolve()):
        return "(outside of the report's folder: not shown)"
    try:
        return readable(path.read_text(encoding="utf-8", errors="replace"))
    except OSError as error:
        return f"(cannot be read: {error.strerror})"
