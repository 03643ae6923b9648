"""The commands about releases of torch: ``drift``, ``probes``, ``releases`` and so on."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..releases import drift, nightlies, page, probing, session, summary
from ..releases.environments import Installing, label
from ..releases.sources import SourceError, describe, open_torch
from ..reporting.report import CONFORMANT, INCOMPLETE, NOT_CONFORMANT, USAGE
from .run_command import taking_processes_along

# What is passed on to the installer.
INSTALLER = ("--index-url", "--extra-index-url", "--find-links")


def add_to(commands: Any) -> None:
    """Add the commands to the subparsers of the command line."""
    _add_drift(commands)
    parser = commands.add_parser("probes", help="what small programs show of a torch")
    parser.add_argument(
        "names", metavar="NAME", nargs="*", default=[], help="of a probe (default: all)"
    )
    parser.add_argument(
        "--python",
        type=Path,
        default=Path(sys.executable),
        metavar="FILE",
        help="the interpreter that has the torch (default: this one)",
    )
    _add_releases(commands)
    _add_bisect(commands)


def _add_drift(commands: Any) -> None:
    parser = commands.add_parser("drift", help="what changed from one torch to another, by source")
    for name in ("old", "new"):
        parser.add_argument(
            name,
            metavar=name.upper(),
            help="a version, a wheel, or a folder that holds torch/, such as site-packages",
        )
    parser.add_argument("--bodies", action="store_true", help="show changed source as a diff")
    parser.add_argument("--markdown", action="store_true", help="for an issue or a pull request")
    parser.add_argument(
        "--wheels",
        type=Path,
        default=Path("torch-wheels"),
        metavar="DIR",
        help="where wheels of versions are, or are downloaded to (default: torch-wheels)",
    )
    add_installer(parser)


def _add_releases(commands: Any) -> None:
    parser = commands.add_parser("releases", help="run subjects on several versions of torch")
    parser.add_argument(
        "torches",
        nargs="+",
        metavar="TORCH",
        help="a version, nightly, a wheel, or an interpreter that has torch and this project",
    )
    parser.add_argument("--good", metavar="TORCH", help="the last good torch (default: the first)")
    parser.add_argument(
        "--subjects",
        default="reference,dynamo:inductor",
        metavar="LIST",
        help="SPECs, and requirements of peers such as vllm==0.33.0, separated by commas",
    )
    _add_environments(parser, Path("releases-report"))
    parser.add_argument("--prune", action="store_true", help="delete environments after use")
    parser.add_argument(
        "--run-args", default="", metavar="TEXT", help="for every run, as in '--profile smoke'"
    )


def _add_bisect(commands: Any) -> None:
    parser = commands.add_parser(
        "bisect-nightlies", help="find the nightly of torch with which a case began to fail"
    )
    parser.add_argument(
        "--case", required=True, metavar="'ID CASE'", help="as in 'SPLIT-004 tensor_stays[x]'"
    )
    for name, state in (("--good", "holds"), ("--bad", "fails")):
        parser.add_argument(name, required=True, metavar="DATE", help=f"{state}, as 20260901")
    parser.add_argument("--subject", default="reference", metavar="SPEC", help="as of releases")
    _add_environments(parser, Path("bisect-report"))


def _add_environments(parser: argparse.ArgumentParser, out: Path) -> None:
    parser.add_argument("--out", type=Path, default=out, metavar="DIR")
    parser.add_argument(
        "--environments", type=Path, metavar="DIR", help="default: environments in --out"
    )
    parser.add_argument("--project", metavar="PATH", help="default: the version that is installed")
    parser.add_argument(
        "--peer-requirements", type=Path, metavar="FILE", help="what the imports of peers ask for"
    )
    add_installer(parser)


def add_installer(parser: argparse.ArgumentParser) -> None:
    """Add the options that are passed on to the installer."""
    for option in INSTALLER:
        parser.add_argument(option, action="append", default=[], metavar="URL", help="as of pip")
    parser.add_argument("--pre", action="store_true", help="as of pip")


def installer_arguments(options: argparse.Namespace) -> list[str]:
    """What to pass on to the installer."""
    given = [
        part
        for option in INSTALLER
        for value in getattr(options, option.strip("-").replace("-", "_"))
        for part in (option, value)
    ]
    return [*given, *(["--pre"] if options.pre else [])]


def _drift(options: argparse.Namespace) -> int:
    try:
        pip = installer_arguments(options)
        old, new = (open_torch(each, options.wheels, pip) for each in (options.old, options.new))
    except SourceError as error:
        print(f"error: {error}", file=sys.stderr)
        return USAGE
    shown = drift.as_markdown if options.markdown else drift.as_text
    print(shown(drift.drift(old, new), bodies=options.bodies))
    return CONFORMANT


def _probes(options: argparse.Namespace) -> int:
    known = probing.probes()
    if unknown := [each for each in options.names if each not in known]:
        print(f"error: no probe {unknown[0]!r}; there are {', '.join(known)}", file=sys.stderr)
        return USAGE
    try:
        torch = describe(options.python)
    except SourceError as error:
        print(f"error: {error}", file=sys.stderr)
        return USAGE
    print(f"torch {torch.version} ({torch.git_version[:12]})")
    found = probing.ask(options.python, torch.version, options.names)
    for each in found:
        state = "inconclusive" if each.inconclusive else "moved" if each.moved else "as expected"
        print(f"{each.probe.name:30} {state:13} {each.got}")
        if each.moved:
            print(f"{'':30} {'expected':13} {each.expected} (as of {each.as_of})")
    if any(each.moved for each in found):
        return NOT_CONFORMANT
    return INCOMPLETE if any(each.inconclusive for each in found) else CONFORMANT


def _installing(options: argparse.Namespace) -> Installing:
    return Installing(
        (options.environments or options.out / "environments").resolve(),
        options.project or session.default_project(),
        tuple(installer_arguments(options)),
        options.peer_requirements and options.peer_requirements.resolve(),
    )


def _bisect(options: argparse.Namespace) -> int:
    how = _installing(options)
    try:
        versions = nightlies.dated(how.pip)
        dates = [each for each in versions if options.good <= each <= options.bad]
        judge = nightlies.judging(versions, options.case, options.subject, options.out, how)
        with taking_processes_along():
            print(nightlies.search(dates, judge))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INCOMPLETE
    except nightlies.SearchError as error:
        print(f"error: {error}", file=sys.stderr)
        return USAGE
    return CONFORMANT


def _releases(options: argparse.Namespace) -> int:
    how = _installing(options)
    good = options.good or options.torches[0]
    plan = session.Plan(
        tuple(options.torches),
        good,
        tuple(each.strip() for each in options.subjects.split(",")),
        options.out.resolve(),
        how,
        tuple(shlex.split(options.run_args)),
        options.prune,
    )
    try:
        with taking_processes_along():
            found = session.run(plan, session.say_now)
    except KeyboardInterrupt:
        print("interrupted: the same command goes on where it was", file=sys.stderr)
        return INCOMPLETE
    shown = found[0].version or label(good)
    page.write(options.out, shown, found)
    (options.out / "summary.toml").write_text(summary.as_toml(shown, plan.arguments, found))
    print(f"page: {options.out / 'releases.html'}")
    return session.exit_status(found)


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "drift": _drift,
    "probes": _probes,
    "releases": _releases,
    "bisect-nightlies": _bisect,
}
