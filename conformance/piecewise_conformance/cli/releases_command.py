"""The commands about releases of torch: ``drift``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..releases import drift
from ..releases.sources import SourceError, open_torch
from ..reporting.report import CONFORMANT, USAGE

# What is passed on to the installer.
INSTALLER = ("--index-url", "--extra-index-url", "--find-links")


def add_to(commands: Any) -> None:
    """Add the commands to the subparsers of the command line."""
    _add_drift(commands)


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


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {"drift": _drift}
