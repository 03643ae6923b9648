"""The command ``history``: keep what nightly runs found, judge it, and show it as a page."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..history.entry import HistoryError
from ..history.judging import as_lines, findings
from ..history.page import write_page
from ..history.simulation import NOISE, Noise, drawn, table
from ..history.sources import entry_of
from ..history.store import append, read
from ..reporting.report import CONFORMANT, INCOMPLETE, NOT_CONFORMANT, USAGE, ReportError
from .arguments import positive


def add_to(commands: Any) -> None:
    """Add the command to the subparsers of the command line."""
    history = commands.add_parser("history", help="keep, judge and show what nightly runs found")
    actions = history.add_subparsers(dest="action", required=True)
    appending = actions.add_parser("append", help="add a report or benchmarks to the history")
    appending.add_argument(
        "runs", type=Path, nargs="+", metavar="REPORT|BENCHMARKS", help="folder, .jsonl or .json"
    )
    appending.add_argument("--to", type=Path, required=True, metavar="DIR")
    appending.add_argument("--job", default="", help="the name of the job, to tell series apart")
    appending.add_argument("--link", default="", metavar="URL", help="where the report can be read")
    appending.add_argument("--level", default="", help="default: that of the report")
    rendering = actions.add_parser("render", help="write the trend page")
    rendering.add_argument("folder", type=Path, metavar="DIR")
    rendering.add_argument("--out", type=Path, metavar="FILE", help="default: index.html in DIR")
    judging = actions.add_parser(
        "judge",
        help="what changed in the last night: exit status 1 for an alarm, 3 if a second run of the "
        "job is needed to say so",
    )
    judging.add_argument("folder", type=Path, metavar="DIR")
    simulating = actions.add_parser("simulate", help="what the alarm rule finds, as a table")
    simulating.add_argument("--nights", type=positive, default=1000, metavar="N")
    simulating.add_argument("--trials", type=positive, default=200, metavar="N")
    simulating.add_argument("--seed", type=int, default=0, metavar="N")
    simulating.add_argument("--noise", type=Path, default=NOISE, metavar="FILE", help="a recording")


def run(options: argparse.Namespace) -> int:
    """Do what ``options`` say; the exit status."""
    try:
        return _ACTIONS[options.action](options)
    except (HistoryError, ReportError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return USAGE


def _append(options: argparse.Namespace) -> int:
    entries = [
        entry_of(each, job=options.job, link=options.link, level=options.level)
        for each in options.runs
    ]
    written = append(options.to, entries)
    print(f"{written} of {len(entries)} written to {options.to}; the others were there")
    return CONFORMANT


def _render(options: argparse.Namespace) -> int:
    out = options.out or options.folder / "index.html"
    write_page(out, read(options.folder))
    print(f"page: {out}")
    return CONFORMANT


def _judge(options: argparse.Namespace) -> int:
    found = findings(read(options.folder))
    print("\n".join(as_lines(found)))
    alarms = [each for each in found if each.state in ("alarm", "regression")]
    if any(not each.confirmed for each in found):
        return INCOMPLETE
    return NOT_CONFORMANT if alarms else CONFORMANT


def _simulate(options: argparse.Namespace) -> int:
    for what, noise in (
        ("recorded noise", Noise.load(options.noise)),
        ("normal distribution of 1 %", drawn(options.seed)),
    ):
        print("\n".join(table(what, noise, options.nights, options.trials, options.seed)), "\n")
    return CONFORMANT


_ACTIONS: dict[str, Callable[[argparse.Namespace], int]] = {
    "append": _append,
    "render": _render,
    "judge": _judge,
    "simulate": _simulate,
}
