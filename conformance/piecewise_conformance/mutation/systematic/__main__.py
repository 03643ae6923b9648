"""``python -m piecewise_conformance.mutation.systematic``: what the suite cannot see.

The suite runs on a sample of the mutants that standard operators make of the reference
(:mod:`.operators`). Each must fail a MUST, or be explained in ``survivors.toml``. Results go to a
file as they arrive, and ``--resume`` goes on from there: what was killed stays killed, and what
survived is run again if the suite has changed meanwhile.

Exit status: 0 all killed or explained, 1 a survivor is new or an entry is about nothing, 3 the run
failed.
"""

from __future__ import annotations

import argparse
import fnmatch
import hashlib
import json
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ...runner.run import Settings
from ..__main__ import run_matrix
from ..matrix import PASSED
from ..planting import REFERENCE
from .operators import Site, sites
from .report import show
from .sampling import sample
from .survivors import explained, load, unmatched

_TIMEOUT = 120.0  # seconds that one test may take on a mutant
_HARNESS = Path(__file__).parents[2]


def main(arguments: list[str] | None = None) -> int:
    """Run the mutants, report; the exit status."""
    options = _options(arguments)
    began = time.monotonic()
    everything = sites(REFERENCE)
    entries = load()
    known = explained(everything, entries)
    within = [each for each in everything if fnmatch.fnmatch(each.file, options.modules)]
    chosen = sample(within, options.sample or len(within), options.seed)
    ended = _begin(options.json, options.resume, _header(options))
    asked = [each for each in chosen if each.id not in known and each.mutant.name not in ended]
    told = f"{len(chosen)} of {len(within)} sites, {len(ended)} done before"
    print(f"{told}, {len(asked)} to run", flush=True)
    if asked and not _run(asked, options):
        return 3
    ended = _read(options.json)[1]
    stale = unmatched(everything, entries)
    return show(chosen, ended, known, stale, time.monotonic() - began)


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m piecewise_conformance.mutation.systematic")
    add = parser.add_argument
    add("--sample", type=int, default=800, metavar="N", help="how many mutants; 0: all")
    add("--seed", type=int, default=0, metavar="S", help="another seed draws another sample")
    add("--modules", default="*", metavar="GLOB", help="of files such as cache/manager.py only")
    add("--json", type=Path, default=Path("mutation.jsonl"), metavar="FILE", help="the results")
    add("--resume", action="store_true", help="go on with the results in that file")
    add("--jobs", type=int, default=0, metavar="N", help="processes at a time (default: cores)")
    add("--quick", action="store_true", help="run no slow tests: more survive")
    add("-k", dest="keyword", default="", help="only tests that match, as in run: more survive")
    add("--thorough", action="store_true", help="run every case of a test, not a few of them")
    return parser.parse_args(arguments)


def _run(asked: list[Site], options: argparse.Namespace) -> bool:
    """Run the suite on the mutants; whether the reference itself passed."""
    mutants = {site.mutant.name: site.mutant for site in asked}
    with tempfile.TemporaryDirectory(prefix="piecewise-systematic-") as temporary:
        (Path(temporary) / "sites.toml").write_text(_as_toml(asked), encoding="utf-8")
        found = run_matrix(
            mutants,
            Settings(jobs=options.jobs, timeout=_TIMEOUT, keyword=options.keyword),
            thorough=options.thorough,
            folder=Path(temporary),
            until_killed=True,
            ended=str(options.json.resolve()),
            traces="" if options.quick else str(_traces(options.json).resolve()),
        )
    problems = [run for run in found["baseline"] if run["status"] not in PASSED]
    for run in problems[:10]:
        print(f"the reference fails {run['test']}: {run['message'] or run['status']}")
    return not problems


def _as_toml(asked: Iterable[Site]) -> str:
    """The mutants as a catalogue. A string of JSON is one of TOML as well."""
    lines = []
    for site in asked:
        (patch,) = site.mutant.patches
        table = {"name": site.mutant.name, "about": site.mutant.about, "file": patch.file}
        table |= {"old": patch.old, "new": patch.new}
        lines += ["[[mutant]]", *(f"{key} = {json.dumps(text)}" for key, text in table.items())]
        lines.append(f"at = {patch.at}")
    return "\n".join(lines)


# -- the file of results ---------------------------------------------------------------------------


def _header(options: argparse.Namespace) -> dict[str, Any]:
    suite = (_HARNESS / "suite", _HARNESS / "spec", _HARNESS / "testkit", _HARNESS / "emulation")
    how = {name: getattr(options, name) for name in ("quick", "keyword", "thorough")}
    return {"reference": _digest(REFERENCE), "suite": _digest(*suite), **how}


def _digest(*folders: Path) -> str:
    """A digest of the sources in ``folders``."""
    digest = hashlib.sha256()
    for path in sorted(path for each in folders for path in each.rglob("*")):
        if path.suffix in (".py", ".md"):
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def _begin(path: Path, resume: bool, header: dict[str, Any]) -> dict[str, Any]:
    """Write the beginning of the file of results; those that stay, by the name of the mutant."""
    before, ended = _read(path) if resume and path.exists() else ({}, {})
    if before and before["reference"] != header["reference"]:
        raise SystemExit(
            f"{path} belongs to another version of the reference; run without --resume"
        )
    if before != header:
        ended = {name: each for name, each in ended.items() if each["killed_by"]}
    if not before or before["suite"] != header["suite"]:
        _traces(path).unlink(missing_ok=True)
    lines = [header, *ended.values()]
    path.write_text("".join(json.dumps(each) + "\n" for each in lines), encoding="utf-8")
    return ended


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and results. A last line that was cut off is left out."""
    text = path.read_text(encoding="utf-8")
    header, *lines = [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]
    return header, {each["mutant"]: each for each in lines}


def _traces(path: Path) -> Path:
    return path.with_name(f"{path.stem}-traces.jsonl")


if __name__ == "__main__":
    sys.exit(main())
