"""The command ``run``: its options, and what is wrong with them."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import re
import shlex
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from ..core.levels import LevelError, usable
from ..core.requirements import FULL, PROFILES, load, unknown_family, unknown_id
from ..reporting.report import REPORT, USAGE, ReportError, read_report
from ..reporting.selected import Selected, failed_in
from ..reporting.shards import Shard
from .arguments import positive, seconds


def add_to(commands: Any) -> None:
    """Add the command to the subparsers of the command line."""
    run = commands.add_parser("run", help="test a backend and give a verdict")
    run.add_argument(
        "--backend",
        metavar="SPEC",
        help="a registered name, module:attribute, path/to/file.py[:attribute] or dynamo:NAME "
        "(default: reference; with --failed, that of the report in DIR)",
    )
    _add_selection(run)
    run.add_argument(
        "--device",
        default="cpu",
        choices=["cpu", "cuda"],
        help="the device of the models (default: cpu)",
    )
    run.add_argument(
        "--jobs",
        type=positive,
        default=0,
        metavar="N",
        help="worker processes (default: all cores)",
    )
    run.add_argument(
        "--out",
        type=Path,
        default=Path("conformance-report"),
        metavar="DIR",
        help="the folder of the report (default: conformance-report)",
    )
    run.add_argument("--resume", action="store_true", help="continue the incomplete run in DIR")
    run.add_argument(
        "--seed", type=int, default=0, metavar="N", help="seed of all random numbers (default: 0)"
    )
    run.add_argument(
        "--timeout",
        type=seconds,
        default=300.0,
        metavar="SECONDS",
        help="time limit of one test (default: 300)",
    )
    run.add_argument(
        "--memory",
        type=positive,
        default=0,
        metavar="MIB",
        help="memory limit of each process (default: no limit)",
    )
    run.add_argument(
        "--expectations",
        type=Path,
        metavar="FILE",
        help="file of known failures (default: expectations/SUBJECT.toml, if it exists)",
    )
    run.add_argument(
        "--accept",
        action="store_true",
        help="add the failures of this run to the file of known failures",
    )
    run.add_argument(
        "--confirm",
        type=float,
        default=300.0,
        metavar="SECONDS",
        help="time limit for running the scripts of failures; 0 runs none (default: 300)",
    )
    run.add_argument(
        "--durations",
        type=positive,
        default=0,
        metavar="N",
        help="print the N slowest requirements",
    )


def _add_selection(run: argparse.ArgumentParser) -> None:
    run.add_argument(
        "--level",
        default="",
        metavar="NAME",
        help="only the requirements of a conformance level, such as 2026.12",
    )
    run.add_argument(
        "--profile",
        action="append",
        default=[],
        choices=[*PROFILES, FULL],
        help=f"only the requirements of a profile; repeatable (default: {FULL})",
    )
    run.add_argument(
        "--family",
        action="append",
        default=[],
        metavar="NAME",
        help="only the requirements of a family, such as SPLIT; repeatable",
    )
    run.add_argument(
        "--id",
        action="append",
        default=[],
        metavar="ID",
        help="only this requirement, such as SPLIT-004; repeatable",
    )
    run.add_argument(
        "--case",
        action="append",
        default=[],
        metavar="CASE",
        help="only the test with this name in the report; repeatable",
    )
    run.add_argument(
        "--failed", action="store_true", help="run the failures of the report in DIR again"
    )
    run.add_argument(
        "-k",
        dest="keyword",
        default="",
        metavar="EXPR",
        help="only tests that match, as in pytest; IDs match too",
    )
    run.add_argument("--shard", type=_shard, metavar="K/N", help="only part K of N, such as 3/8")


def _shard(text: str) -> str:
    try:
        return str(Shard.parse(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def run(options: argparse.Namespace, given: list[str]) -> int:
    """Check the options and run; the exit status."""
    from ..runner import run as runner

    try:
        selected = _selected(options)
    except ReportError as error:
        print(f"error: {error}", file=sys.stderr)
        return USAGE
    settings = runner.Settings(
        backend=options.backend or "reference",
        profiles=tuple(options.profile),
        device=options.device,
        jobs=options.jobs,
        out=options.out,
        resume=options.resume,
        seed=options.seed,
        keyword=options.keyword,
        selected=selected,
        timeout=options.timeout,
        memory=options.memory,
        shard=options.shard or "",
        expectations=options.expectations,
        accept=options.accept,
        durations=options.durations,
        confirm=options.confirm,
        command=shlex.join(["python", "-m", "piecewise_conformance", *given]),
    )
    with taking_processes_along():
        return runner.run(settings)


_ID = re.compile(r"\b[A-Z]+-\d+\b")  # what can only be meant for an ID in an expression


def _selected(options: argparse.Namespace) -> Selected:
    """What the options select; ReportError if they name what is not there."""
    from ..runner.run import wrong_keyword

    if options.keyword and (wrong := wrong_keyword(options.keyword)):
        raise ReportError(f"-k {options.keyword!r}: {wrong}")
    families = tuple(each.upper() for each in options.family)
    ids = tuple(each.upper() for each in options.id)
    if named := [*ids, *_ID.findall(options.keyword)]:
        known = load()
        for each in named:
            if wrong := unknown_id(each, known):
                raise ReportError(wrong)
    for each in families:
        if wrong := unknown_family(each, load()):
            raise ReportError(wrong)
    if options.level:
        try:
            usable(options.level, load())
        except LevelError as error:
            raise ReportError(str(error)) from error
    selected = Selected(families, ids, tuple(options.case), options.level)
    return _of_the_failures(options, selected) if options.failed else selected


def _of_the_failures(options: argparse.Namespace, selected: Selected) -> Selected:
    """The failures that the report in DIR has, as far as they are ``selected``."""
    if options.resume:
        raise ReportError("--failed starts a new run and cannot be combined with --resume")
    report = read_report(options.out / REPORT)
    options.backend = options.backend or report.header["subject"]["spec"]
    failed = failed_in(report)
    cases = tuple(each for each in failed.cases if selected.has(*each.split(" ", 1)))
    if not cases:
        raise ReportError("the other options select none of the failures in the report")
    return dataclasses.replace(selected, cases=cases)


@contextlib.contextmanager
def taking_processes_along() -> Iterator[None]:
    """Inside, SIGTERM, as of `timeout` or a CI system, is as good as Ctrl-C: processes end too."""
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(signum: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt
