"""``python -m piecewise_benchmarks run | compare | noise``: measure, compare, record noise."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

import pytest

from . import peers
from .compare import compare_files
from .noise import record
from .table import print_tables

SUITE = Path(__file__).parent / "suite"


def _run(options: argparse.Namespace, rest: list[str]) -> int:
    if options.peers:
        os.environ[peers.ASKED] = "1"
    out = Path(options.out).resolve()
    out.unlink(missing_ok=True)  # what is printed is of this run
    began = time.monotonic()
    status = pytest.main(
        [
            str(SUITE),
            *("-c", os.devnull),
            *("--rootdir", str(SUITE)),
            *("-p", "no:cacheprovider"),
            *("-o", "python_files=bench_*.py"),
            *("-o", "filterwarnings=ignore::DeprecationWarning"),
            "--import-mode=importlib",
            # The processor's clock: another program on the machine costs less of it than of a
            # wall clock. Rounds without end would not fit ten minutes.
            "--benchmark-timer=time.process_time",
            "--benchmark-max-time=0.3",
            "--benchmark-min-rounds=5",
            "--benchmark-columns=min,median,iqr,rounds",
            "--benchmark-quiet",
            f"--benchmark-json={out}",
            "-q",
            "-rs",  # what was not run, with the reason
            *rest,
        ]
    )
    try:
        print_tables(out)
    except (OSError, ValueError):
        print("nothing was measured; what pytest says above tells why", file=sys.stderr)
    else:
        print(f"\n{time.monotonic() - began:.0f} s in all; written to {out}")
    return int(status)


def main(arguments: list[str] | None = None) -> int:
    """Run one command; the exit status."""
    parser = argparse.ArgumentParser(prog="piecewise_benchmarks", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="measure; other arguments go to pytest")
    run.add_argument("--peers", action="store_true", help="measure the peers' functions as well")
    run.add_argument("--out", default="benchmarks.json", help="where the figures go")
    compare = commands.add_parser("compare", help="fail on a regression or an unexplained gain")
    compare.add_argument("old", help="one file, or files of several runs joined by commas")
    compare.add_argument("new", help="likewise")
    compare.add_argument("--html", default="benchmarks-compared.html", help="where the chart goes")
    compare.add_argument(
        "--expect", action="append", default=[], metavar="NAME", help="a change that is meant"
    )
    noise = commands.add_parser("noise", help="record noise, for the simulation of the alarm rule")
    noise.add_argument("--nights", type=int, default=120, metavar="N")
    noise.add_argument("--out", type=Path, default=Path("noise.json"), metavar="FILE")
    options, rest = parser.parse_known_args(arguments)
    if options.command == "run":
        return _run(options, rest)
    if rest:
        parser.error(f"unknown arguments {rest}")
    if options.command == "noise":
        record(options.nights, options.out)
        return 0
    old, new = options.old.split(","), options.new.split(",")
    return compare_files(old, new, Path(options.html), options.expect)


if __name__ == "__main__":
    sys.exit(main())
