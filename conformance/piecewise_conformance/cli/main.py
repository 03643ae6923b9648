"""The command line: ``run``, ``list`` and ``explain``; the rest is in ``reports.py``."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import math
import os
import shlex
import signal
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from ..core.requirements import FULL, PROFILES, Requirement, SpecError, load
from ..core.suite_scan import SuiteError, scan
from ..reporting.report import CONFORMANT, INCOMPLETE, USAGE
from ..reporting.shards import Shard
from . import reports


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; the exit status."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    options = _parser().parse_args(given)
    try:
        if options.command == "run":
            return _run(options, given)
        if options.command == "fuzz":
            return _fuzz(options, given)
        if options.command in reports.COMMANDS:
            return reports.COMMANDS[options.command](options)
        requirements = load()
        if options.command == "list":
            return _list(requirements, options.family)
        return _explain(requirements, options.id)
    except BrokenPipeError:  # as in `list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CONFORMANT
    except (SpecError, SuiteError) as error:  # the harness's own files
        print(f"error: {error}", file=sys.stderr)
        return INCOMPLETE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m piecewise_conformance",
        description="Test a piecewise torch.compile backend, requirement by requirement.",
        epilog="exit status: 0 conformant, 1 a requirement failed, 2 usage or the subject cannot "
        "be loaded, 3 the run is incomplete or the harness failed",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="test a backend and give a verdict")
    run.add_argument(
        "--backend",
        default="reference",
        metavar="SPEC",
        help="a registered name, module:attribute, path/to/file.py[:attribute] or dynamo:NAME "
        "(default: reference)",
    )
    run.add_argument(
        "--profile",
        action="append",
        default=[],
        choices=[*PROFILES, FULL],
        help=f"which requirements; may be given more than once (default: {FULL})",
    )
    run.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    run.add_argument("--jobs", type=_positive, default=0, metavar="N", help="default: all cores")
    run.add_argument("--out", type=Path, default=Path("conformance-report"), metavar="DIR")
    run.add_argument("--resume", action="store_true", help="go on with the incomplete run in DIR")
    run.add_argument("--seed", type=int, default=0, metavar="N")
    run.add_argument("-k", dest="keyword", default="", metavar="EXPR", help="as of pytest; IDs too")
    run.add_argument(
        "--timeout",
        type=_seconds,
        default=300.0,
        metavar="SECONDS",
        help="for one test (default: 300)",
    )
    run.add_argument(
        "--memory",
        type=_positive,
        default=0,
        metavar="MIB",
        help="what a process may allocate (default: no limit)",
    )
    run.add_argument("--shard", type=_shard, metavar="K/N", help="part K of N, as 3/8")
    run.add_argument(
        "--expectations",
        type=Path,
        metavar="FILE",
        help="failures that are known (default: expectations/SUBJECT.toml, where there is one)",
    )
    run.add_argument(
        "--accept", action="store_true", help="write what failed into the file of expectations"
    )
    run.add_argument(
        "--confirm",
        type=float,
        default=300.0,
        metavar="SECONDS",
        help="for running the scripts of failures, one a test; 0 runs none",
    )
    run.add_argument(
        "--durations",
        type=_positive,
        default=0,
        metavar="N",
        help="tell which N requirements took longest",
    )
    fuzz = commands.add_parser("fuzz", help="search for programs that a backend does wrong")
    fuzz.add_argument("--backend", default="reference", metavar="SPEC", help="as of run")
    fuzz.add_argument("--minutes", type=_seconds, default=5.0, metavar="N")
    fuzz.add_argument("--jobs", type=_positive, default=0, metavar="N", help="default: all cores")
    fuzz.add_argument("--seed", type=int, default=0, metavar="N", help="the same programs again")
    fuzz.add_argument("--out", type=Path, default=Path("fuzz-report"), metavar="DIR")
    fuzz.add_argument(
        "--timeout", type=_seconds, default=60.0, metavar="SECONDS", help="for one program"
    )
    fuzz.add_argument(
        "--capture",
        default="both",
        choices=["direct", "dynamo", "both"],
        help="graphs that are built directly, which is quicker, or by Dynamo (default: both)",
    )
    fuzz.add_argument(
        "--programs", type=_positive, default=0, metavar="N", help="stop after so many"
    )
    fuzz.add_argument(
        "--compiler",
        default="",
        choices=["inductor"],
        help="of the pieces (default: eager, if the backend has it); with --capture dynamo",
    )
    listing = commands.add_parser("list", help="list the requirements")
    listing.add_argument("--family", help="only those of one family, such as SPLIT")
    explain = commands.add_parser("explain", help="all there is to know about one requirement")
    explain.add_argument("id", metavar="ID", help="such as SPLIT-004")
    reports.add_to(commands)
    return parser


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _seconds(text: str) -> float:
    number = float(text)
    if not (0 < number < math.inf):
        raise argparse.ArgumentTypeError("must be a positive number")
    return number


def _shard(text: str) -> str:
    try:
        return str(Shard.parse(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _run(options: argparse.Namespace, given: list[str]) -> int:
    from ..runner.run import Settings, run, wrong_keyword

    if options.keyword and (wrong := wrong_keyword(options.keyword)):
        print(f"error: -k {options.keyword!r}: {wrong}", file=sys.stderr)
        return USAGE
    settings = Settings(
        backend=options.backend,
        profiles=tuple(options.profile),
        device=options.device,
        jobs=options.jobs,
        out=options.out,
        resume=options.resume,
        seed=options.seed,
        keyword=options.keyword,
        timeout=options.timeout,
        memory=options.memory,
        shard=options.shard or "",
        expectations=options.expectations,
        accept=options.accept,
        durations=options.durations,
        confirm=options.confirm,
        command=shlex.join(["python", "-m", "piecewise_conformance", *given]),
    )
    with _taking_processes_along():
        return run(settings)


@contextlib.contextmanager
def _taking_processes_along() -> Iterator[None]:
    """Inside, SIGTERM, as of `timeout` or a CI system, is as good as Ctrl-C: processes end too."""
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _fuzz(options: argparse.Namespace, given: list[str]) -> int:
    from ..fuzzing.search import Options, search
    from ..subject.loading import LoadError

    searched = Options(
        options.backend,
        options.minutes,
        options.jobs,
        options.seed,
        options.out,
        options.timeout,
        "dynamo" if options.compiler else options.capture,
        options.compiler,
        options.programs,
        command=shlex.join(["python", "-m", "piecewise_conformance", *given]),
    )
    try:
        with _taking_processes_along():
            return search(searched)
    except LoadError as error:
        print(f"error: {error}", file=sys.stderr)
        return USAGE


def _interrupt(signum: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


def _list(requirements: Mapping[str, Requirement], family: str | None) -> int:
    families = sorted({each.family for each in requirements.values()})
    if family is not None and family.upper() not in families:
        return _unknown("family", family, families)
    for each in requirements.values():
        if family is None or each.family == family.upper():
            state = f"retired ({each.retired})" if each.retired else _profiles(each)
            print(f"{each.id:13} {each.level:7} {state:24} {each.sentence}")
    return CONFORMANT


def _explain(requirements: Mapping[str, Requirement], id: str) -> int:
    found = requirements.get(id.upper())
    if found is None:
        return _unknown("requirement", id, list(requirements))
    print(f"{found.id} ({found.level}, since {found.since}; profiles: {_profiles(found)})\n")
    print(textwrap.fill(found.sentence, 98))
    if found.retired:
        print(f"\nRetired: {found.retired}")
    if found.why:
        print("\nWhy:", found.why)
    print("\nFrom:", found.source)
    if found.faults:
        print("Faults that it would have caught:", ", ".join(found.faults))
    print("\nTests:")
    for each in scan().values():
        if each.requirement == found.id:
            print(f"  {each.path.name}:{each.line} {each.node.rpartition('::')[2]}: {each.doc}")
    if mutants := _mutants().get(found.id):
        print("\nMutants that must fail it:", ", ".join(sorted(mutants)))
    return CONFORMANT


def _mutants() -> Mapping[str, Sequence[str]]:
    """The mutants of each requirement, as far as there are any."""
    try:
        from ..mutation.catalogue import declared
    except ImportError:
        return {}
    found: Mapping[str, Sequence[str]] = declared()
    return found


def _profiles(requirement: Requirement) -> str:
    return ", ".join(name for name in PROFILES if name in requirement.profiles)


def _unknown(what: str, name: str, known: list[str]) -> int:
    close = difflib.get_close_matches(name.upper(), known, n=3)
    hint = f"; did you mean {' or '.join(close)}?" if close else f"; see {'list'!r} for all"
    print(f"error: no {what} {name!r}{hint}", file=sys.stderr)
    return USAGE
