"""Every script of every mutant fails by itself (``piecewise_conformance.mutation.repros``).

Each mutant is run on the tests of the requirements that it declares until it fails each of them
once. The script of each failure is then run in a fresh process, where it must fail as well.

Exit status: 0 all fail there, 1 some do not, 3 the run failed.
"""

from __future__ import annotations

import argparse
import math
import re
import sys
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from ..core import environment
from ..core.requirements import load as load_requirements
from ..reporting.report import FAILED, OTHERWISE, Result, how_a_script_went
from ..repros.confirm import Rerun, confirm
from ..repros.failures import Scripts
from ..runner.run import Settings
from .__main__ import run_matrix
from .catalogue import Mutant, catalogue

_FAILING = (FAILED, OTHERWISE)
_PATIENCE = 4.0  # times what a run grants a script: nobody waits here, and machines are busy


def main(arguments: list[str] | None = None) -> int:
    """Write and run the scripts; the exit status."""
    options = _options(arguments)
    began = time.monotonic()
    chosen = _chosen(options.only, options.every)
    jobs = Settings(jobs=options.jobs).workers
    failures = failures_of(chosen, jobs)
    told = f"{len(failures)} failures of {len(chosen)} mutants"
    print(f"{told}, {time.monotonic() - began:.0f} s", flush=True)
    wrong = _confirmed(failures, options.out, jobs)
    for each in chosen:
        for id in sorted(each.fails):
            if (each.name, id) not in failures:
                print(f"no failure: {each.name}: {id}")
    print(f"{len(failures) - wrong} fail, {wrong} do not, in {time.monotonic() - began:.0f} s")
    return 1 if wrong else 0


def failures_of(chosen: Iterable[Mutant], jobs: int) -> dict[tuple[str, str], Result]:
    """For each mutant, and each requirement that it declares, its first failure."""
    mutants = {each.name: each for each in chosen}
    # no other requirement is of use, also not of the run on the reference before
    keyword = " or ".join(sorted({id for each in mutants.values() for id in each.fails}))
    runs = run_matrix(mutants, Settings(jobs=jobs, keyword=keyword), part=True)["runs"]
    failures: dict[tuple[str, str], Result] = {}
    for run in runs:
        if "result" in run and run["id"] in mutants[run["subject"]].fails:
            result = Result.from_json(run["result"])
            failures.setdefault((run["subject"], result.id), result)
    return failures


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m piecewise_conformance.mutation.repros")
    parser.add_argument(
        "--only", metavar="REGEX", default="", help="only mutants whose name matches"
    )
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only one in N mutants")
    parser.add_argument("--jobs", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("mutant-repros"), metavar="DIR")
    return parser.parse_args(arguments)


def _chosen(only: str, every: int) -> list[Mutant]:
    """Mutants by name, of each file of the catalogue one in ``every``."""
    seen: Counter[str] = Counter()
    chosen = []
    for mutant in catalogue().values():
        if mutant.is_variant or not re.search(only, mutant.name):
            continue
        if seen[mutant.source] % every == 0:
            chosen.append(mutant)
        seen[mutant.source] += 1
    return chosen


def _confirmed(failures: dict[tuple[str, str], Result], out: Path, jobs: int) -> int:
    """The number of scripts that do not fail in a fresh process; each is told when it ended."""
    written = write(failures, out)
    names = {path: name for name, path, _ in written}
    began, done = time.monotonic(), Counter[str]()

    def tell(path: Path, result: Result, rerun: Rerun) -> None:
        done[rerun.came] += 1
        count = f"{done.total()} of {len(written)}, {time.monotonic() - began:.0f} s"
        print(f"{count}: {names[path]}: {result.id} {result.case}: {rerun.came}", flush=True)
        if rerun.came == FAILED:
            return
        went = how_a_script_went(rerun.as_of(result))
        print(f"    {went}: {path}")
        print(f"    said {result.message[:300]!r}\n    now  {rerun.text[-600:]!r}", flush=True)

    scripts = [(path, result) for _, path, result in written]
    reruns = confirm(scripts, jobs=jobs, seconds=math.inf, patience=_PATIENCE, told=tell)
    came = Counter(each.came for each in reruns)
    print(", ".join(f"{number} {what}" for what, number in came.items()), flush=True)
    return sum(number for what, number in came.items() if what not in _FAILING)


def write(failures: dict[tuple[str, str], Result], out: Path) -> list[tuple[str, Path, Result]]:
    """The script of each failure: the name of the mutant, the path, and the failure."""
    requirements, versions = load_requirements(), environment.versions()
    written = []
    for name in sorted({name for name, _ in failures}):
        header = {
            "subject": {"name": name, "spec": f"mutant:{name}", "version": ""},
            "versions": versions,
            "device": "cpu",
            "seed": 0,
        }
        scripts = Scripts(out / name, header, requirements)
        for result in _of(failures, name):
            if path := scripts.write(result):
                written.append((name, out / name / path, result))
    return written


def _of(failures: dict[tuple[str, str], Result], name: str) -> Iterable[Result]:
    return (result for (mutant, _), result in failures.items() if mutant == name)


if __name__ == "__main__":
    sys.exit(main())
