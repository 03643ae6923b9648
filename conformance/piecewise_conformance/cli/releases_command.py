"""The commands about releases of torch: ``drift`` and ``probes``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..releases import drift, probing
from ..releases.sources import SourceError, describe, open_torch
from ..reporting.report import CONFORMANT, INCOMPLETE, NOT_CONFORMANT, USAGE

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


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {"drift": _drift, "probes": _probes}
