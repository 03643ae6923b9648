"""The report on the terminal: a table, then every failure with what a person needs to act."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TextIO

from ..core.requirements import Requirement
from ..core.tracebacks import unfolded
from ..core.verdict import Status
from .report import (
    CONFORMANT,
    NOT_RUN,
    Report,
    Result,
    how_a_script_went,
    how_to_run_script,
)
from .signatures import grouped
from .verdict import (
    LevelResult,
    Scope,
    by_family,
    exit_status,
    in_capitals,
    level_result,
    requirements_of,
    scope_of,
    totals,
    verdict,
)

_CASES = 2  # named of each cause besides the first; the report has the rest
_SENTENCES = 3  # requirements of one cause whose sentence is printed
_LINES = 25  # printed of each text
_SHOWN = (
    Status.PASS,
    Status.FAIL,
    Status.CRASH,
    Status.TIMEOUT,
    Status.ERROR,
    Status.UNSUPPORTED,
    Status.NOT_RUN,
)
_RARE = (Status.XFAIL, Status.XPASS)  # a column only where there are any
_BAD = (Status.FAIL, Status.CRASH, Status.TIMEOUT, Status.ERROR, Status.XPASS)
_COLOURS = {"red": "31", "green": "32", "yellow": "33", "bold": "1"}


def print_report(
    stream: TextIO,
    report: Report,
    requirements: Mapping[str, Requirement],
    *,
    problem: str = "",
    unmatched: Sequence[str] = (),
    folder: Path = Path(),
    durations: int = 0,
) -> None:
    """Print all of the report in ``folder`` that matters to a person, the verdict last.

    ``durations`` is of how many requirements to tell what they took.
    """
    paint = _Painter(stream.isatty())
    parts = [
        _head(report),
        _table(report.results, paint),
        *_failures(report.results, requirements, paint, folder),
        _reasons(
            report.results,
            Status.UNSUPPORTED,
            "unsupported: the subject lacks a facet or an ability",
        ),
        _reasons(report.results, Status.NOT_RUN, "not run: the machine lacks something"),
        _durations(report.results, durations),
        "\n".join(f"known failure that matched no test: {each}" for each in unmatched),
        _verdict(
            report.results,
            problem,
            paint,
            len(unmatched),
            scope_of(
                report.results,
                requirements_of(report.header, requirements),
                report.header["device"],
            ),
            level_result(report.header, report.results),
        ),
    ]
    print("\n\n".join(part for part in parts if part), file=stream, flush=True)


class _Painter:
    def __init__(self, on: bool) -> None:
        self.on = on

    def __call__(self, colour: str, text: str) -> str:
        return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m" if self.on else text


def _head(report: Report) -> str:
    subject, versions = report.header["subject"], report.header["versions"]
    name = " ".join(part for part in (subject["name"], subject["version"]) if part)
    known = [f"{key} {versions[key]}" for key in ("torch", "triton", "python") if versions.get(key)]
    head = f"subject: {name}  ({', '.join(known)}, {report.header['device']})"
    level = report.header.get("level")
    levels = [f"level:   {level}  ({report.header['level_digest']})"] if level else []
    return "\n".join([head, *levels, *report.header.get("probe", ())])


def _table(results: Sequence[Result], paint: _Painter) -> str:
    families = by_family(results)
    total = totals(results)
    columns = [each for each in _SHOWN + _RARE if each not in _RARE or total[each.value]]
    rows = [("", *(each.value for each in columns))]
    for name, counts in [*families.items(), ("total", total)]:
        rows.append((name, *(str(counts[each.value] or "-") for each in columns)))
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    lines = []
    for number, row in enumerate(rows):
        cells = [row[0].ljust(widths[0])]
        for status, text, width in zip(columns, row[1:], widths[1:], strict=True):
            cell = text.rjust(width)
            bad = number > 0 and text != "-" and status in _BAD
            cells.append(paint("red", cell) if bad else cell)
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _failures(
    results: Sequence[Result],
    requirements: Mapping[str, Requirement],
    paint: _Painter,
    folder: Path,
) -> Iterator[str]:
    """A block for each cause: the requirements that it fails, and one case in full."""
    for group in grouped(each for each in results if each.status in _BAD):
        by_id = group.by_id
        if len(by_id) == 1:
            (id,) = by_id
            lines = [paint("red", _titled(id, by_id[id], requirements))]
            lines += _sentence(id, requirements, "  ")
        else:
            counted = _counted(group.results)
            lines = [paint("red", f"{counted}, {len(by_id)} requirements, one cause")]
            for id in list(by_id)[:_SENTENCES]:
                lines.append(f"  {_titled(id, by_id[id], requirements)}")
                lines += _sentence(id, requirements, "    ")
            if rest := [f"{id} ({len(by_id[id])})" for id in list(by_id)[_SENTENCES:]]:
                lines += _wrapped(f"and {', '.join(rest)}", "  ")
        # a case whose script was run is worth more than one of which nothing is known
        shown, *others = sorted(group.results, key=lambda each: each.repro_run in (None, NOT_RUN))
        lines += ["", *_case(shown, folder)]
        if others:
            lines += _wrapped(f"same cause: {_named(others, several=len(by_id) > 1)}", "  ")
        yield "\n".join(lines)


def _titled(id: str, results: Sequence[Result], requirements: Mapping[str, Requirement]) -> str:
    level = requirements[id].level if id in requirements else results[0].level
    about = ", ".join(filter(None, [level, results[0].consequence, _counted(results)]))
    return f"{id} ({about})"


def _sentence(id: str, requirements: Mapping[str, Requirement], indent: str) -> list[str]:
    return _wrapped(requirements[id].sentence, indent) if id in requirements else []


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(
        text, 98, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False
    )


def _named(results: Sequence[Result], *, several: bool) -> str:
    names = [f"{each.id} {each.case}" if several else each.case for each in results]
    more = f" and {len(names) - _CASES} more in the report" if len(names) > _CASES else ""
    return ", ".join(names[:_CASES]) + more


def _counted(results: Sequence[Result]) -> str:
    count = Counter(each.status.value for each in results)
    return ", ".join(f"{number} {status}" for status, number in count.items())


def _case(result: Result, folder: Path) -> Iterator[str]:
    yield f"  {result.status.value}: {result.id} {result.case}"
    yield from _text("", result.message)
    yield from _text("expected: ", result.expected)
    yield from _text("got:      ", result.got)
    yield from _text("program:  ", result.program)
    if result.how_to_run:
        yield f"    run alone: {result.how_to_run}"
    if result.repro:
        came = f"  ({how_a_script_went(result)})" if result.repro_run else ""
        yield f"    script:    {how_to_run_script(folder / result.repro)}{came}"


def _text(label: str, text: str) -> Iterator[str]:
    shown, folded = unfolded(text.strip("\n"))
    lines = shown.splitlines() if text.strip() else []
    if folded:
        lines.append("  (all frames are in the report)")
    if len(lines) > _LINES:
        lines = [*lines[:_LINES], f"... {len(lines) - _LINES} more lines in the report"]
    for number, line in enumerate(lines):
        yield f"    {label if number == 0 else ' ' * len(label)}{line}"


def _reasons(results: Sequence[Result], status: Status, title: str) -> str:
    count = Counter(_first_line(each.message) for each in results if each.status is status)
    if not count:
        return ""
    return "\n".join([title, *(f"  {number:5} {reason}" for reason, number in count.most_common())])


def _durations(results: Sequence[Result], number: int) -> str:
    """The requirements that took longest, with the test of each that did."""
    by_id: dict[str, list[Result]] = {}
    for each in results:
        by_id.setdefault(each.id, []).append(each)
    took = {id: sum(each.seconds for each in tests) for id, tests in by_id.items()}
    slowest = sorted(took, key=lambda id: -took[id])[:number]
    if not slowest:
        return ""
    lines = [f"slowest requirements ({sum(took.values()):.0f} s of tests in total)"]
    for id in slowest:
        longest = max(by_id[id], key=lambda each: each.seconds)
        tests = f"{len(by_id[id])} tests" if len(by_id[id]) > 1 else "1 test"
        lines.append(
            f"  {took[id]:7.1f} s  {id}: {tests}, {longest.seconds:.1f} s in {longest.case}"
        )
    return "\n".join(lines)


def _first_line(text: str) -> str:
    return text.splitlines()[0] if text.strip() else "no reason given"


def _verdict(
    results: Sequence[Result],
    problem: str,
    paint: _Painter,
    unmatched: int = 0,
    scope: Scope | None = None,
    level: LevelResult | None = None,
) -> str:
    status = exit_status(results, problem=problem, unmatched=unmatched)
    text = in_capitals(verdict(results, problem=problem, unmatched=unmatched, scope=scope))
    if problem:
        text = f"INCOMPLETE: {problem}"
    elif level:
        text = f"{text}, level {level}"
    counts = ", ".join(f"{number} {name}" for name, number in totals(results).items() if number)
    lines = [counts or "no results"]
    if should := sum(each.failing and each.level != "MUST" for each in results):
        lines.append(f"{should} of the failures are of a SHOULD and do not fail the run")
    if scope and not scope.whole and str(scope) not in text:
        lines.append(f"{scope}; the others were unsupported, not run or not selected")
    return "\n".join([*lines, paint("green" if status == CONFORMANT else "red", text)])
