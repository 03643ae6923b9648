"""The command line: ``run``, ``list`` and ``explain``; the rest is in ``reports.py``."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..core.levels import LevelError, load_levels
from ..core.requirements import PROFILES, Requirement, SpecError, load, unknown_family, unknown_id
from ..core.suite_scan import SuiteError, scan
from ..reporting.report import CONFORMANT, INCOMPLETE, USAGE
from . import history, releases_command, reports, run_command
from .arguments import positive, seconds, seed_range


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; the exit status."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    options = _parser().parse_args(given)
    try:
        if options.command == "run":
            return run_command.run(options, given)
        if options.command == "fuzz":
            return _fuzz(options, given)
        if options.command == "history":
            return history.run(options)
        for commands in (reports.COMMANDS, releases_command.COMMANDS):
            if options.command in commands:
                return commands[options.command](options)
        requirements = load()
        if options.command == "list":
            return _levels() if options.levels else _list(requirements, options.family)
        return _explain(requirements, options.id)
    except BrokenPipeError:  # as in `list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CONFORMANT
    except (SpecError, SuiteError, LevelError) as error:  # the harness's own files
        print(f"error: {error}", file=sys.stderr)
        return INCOMPLETE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m piecewise_conformance",
        description="Test a piecewise torch.compile backend, requirement by requirement.",
        epilog="exit status: 0 conformant, 1 a requirement failed, 2 usage error or the subject "
        "cannot be loaded, 3 the run is incomplete or the harness failed",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    run_command.add_to(commands)
    fuzz = commands.add_parser(
        "fuzz", help="search for generated programs that a backend gets wrong"
    )
    fuzz.add_argument(
        "--backend", default="reference", metavar="SPEC", help="the backend under test, as for run"
    )
    fuzz.add_argument(
        "--minutes", type=seconds, default=5.0, metavar="N", help="how long to search (default: 5)"
    )
    fuzz.add_argument(
        "--jobs",
        type=positive,
        default=0,
        metavar="N",
        help="worker processes (default: all cores)",
    )
    fuzz.add_argument(
        "--seed", type=int, default=0, metavar="N", help="seed of the programs (default: 0)"
    )
    fuzz.add_argument(
        "--out",
        type=Path,
        default=Path("fuzz-report"),
        metavar="DIR",
        help="the folder of the report",
    )
    fuzz.add_argument(
        "--timeout", type=seconds, default=60.0, metavar="SECONDS", help="time limit of one program"
    )
    fuzz.add_argument(
        "--capture",
        default="both",
        choices=["direct", "dynamo", "both"],
        help="build graphs directly, which is faster, or with Dynamo (default: both)",
    )
    number = fuzz.add_mutually_exclusive_group()
    number.add_argument(
        "--programs", type=positive, default=0, metavar="N", help="stop after N programs"
    )
    number.add_argument(
        "--seed-range",
        type=seed_range,
        default=(0, 0),
        metavar="A-B",
        help="the programs from number A to B - 1, so that several machines share a search",
    )
    fuzz.add_argument(
        "--compiler",
        default="",
        choices=["inductor"],
        help="compile the pieces with Inductor (default: eager); implies --capture dynamo",
    )
    listing = commands.add_parser("list", help="list the requirements")
    listing.add_argument("--family", help="only those of one family, such as SPLIT")
    listing.add_argument("--levels", action="store_true", help="list the conformance levels")
    explain = commands.add_parser("explain", help="show one requirement with its tests and mutants")
    explain.add_argument("id", metavar="ID", help="such as SPLIT-004")
    reports.add_to(commands)
    history.add_to(commands)
    releases_command.add_to(commands)
    return parser


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
        options.programs or options.seed_range[1],
        start=options.seed_range[0],
        command=shlex.join(["python", "-m", "piecewise_conformance", *given]),
    )
    try:
        with run_command.taking_processes_along():
            return search(searched)
    except LoadError as error:
        print(f"error: {error}", file=sys.stderr)
        return USAGE


def _list(requirements: Mapping[str, Requirement], family: str | None) -> int:
    if family is not None and (wrong := unknown_family(family, requirements)):
        print(f"error: {wrong}", file=sys.stderr)
        return USAGE
    for each in requirements.values():
        if family is None or each.family == family.upper():
            state = f"retired ({each.retired})" if each.retired else _profiles(each)
            print(f"{each.id:13} {each.level:7} {each.consequence:13} {state:24} {each.sentence}")
    return CONFORMANT


def _levels() -> int:
    for each in load_levels().values():
        print(f"{each.name}  {len(each.sentences)} requirements  {each.digest}")
    return CONFORMANT


def _explain(requirements: Mapping[str, Requirement], id: str) -> int:
    found = requirements.get(id.upper())
    if found is None:
        print(f"error: {unknown_id(id, requirements)}", file=sys.stderr)
        return USAGE
    print(f"{found.id} ({found.level}, since {found.since}; profiles: {_profiles(found)})\n")
    print(textwrap.fill(found.sentence, 98))
    if found.retired:
        print(f"\nRetired: {found.retired}")
    print(f"\nConsequence of a violation: {found.consequence}")
    if found.why:
        print("\nWhy:", found.why)
    print("\nSource:", found.source)
    if found.faults:
        print("Known faults that it catches:", ", ".join(found.faults))
    print("\nTests:")
    for each in scan().values():
        if each.requirement == found.id:
            print(f"  {each.path.name}:{each.line} {each.node.rpartition('::')[2]}: {each.doc}")
    if mutants := _mutants().get(found.id):
        print("\nMutants that fail it:", ", ".join(sorted(mutants)))
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
