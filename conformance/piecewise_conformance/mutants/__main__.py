"""The kill matrix: ``python -m piecewise_conformance.mutants``.

First the suite runs on the instrumented reference, which must pass and tells which statements each
test reaches. Then every mutant is run, in one pytest run, on tests that reach what it changes, and
must fail exactly the requirements that it declares. Three rules keep that quick:

* Tests are of three levels: of one part, of the whole backend, and those that take seconds (with
  Inductor, or in fresh processes). A fault is the business of the lowest level that reaches it.
* Requirements that a mutant declares are judged by all their tests, others of the same families by
  one, other families by one: that it fails what it should is checked in full, that it fails nothing
  else by sample. ``--thorough``, and ``--accept`` with it, judges all in full.
* Tests that take seconds are not traced. They serve for what no other test reaches.
* Of a requirement that a mutant declares, the test that failed it before is tried first; the others
  are run only if it passes (:mod:`.killers`).

With ``--only`` what tests reach is taken from an earlier run where it still holds. With ``-k`` a
part of the suite is asked, with ``--device cuda`` real graphs; on a GPU mutants declare more.

Exit status: 0 all as declared, 1 a declaration is wrong or a MUST has no mutant, 3 the run failed.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .. import environment, reach
from ..requirements import load as load_requirements
from ..run import Settings, command_of, environment_of
from ..suite_scan import SUITE_FOLDER
from . import FOLDER, Mutant, catalogue, killers, planting
from .kept_reach import KeptReach
from .killers import KILLED, Plan

_PART, _WHOLE, _SLOW = range(3)
_SKIPPED = ("unsupported", "not-run")


@dataclasses.dataclass
class Verdict:
    """What became of a mutant: the requirements that it failed, of those it was run on."""

    mutant: Mutant
    tests: int = 0
    failed: dict[str, str] = dataclasses.field(default_factory=dict)  # requirement -> message
    errors: list[str] = dataclasses.field(default_factory=list)
    seconds: float = 0.0

    @property
    def right(self) -> bool:
        """Whether it failed exactly what it declares."""
        return not self.errors and self.tests > 0 and set(self.failed) == self.mutant.fails


def main(arguments: list[str] | None = None) -> int:
    """Run the matrix; the exit status."""
    options = _options(arguments)
    began = time.monotonic()
    chosen = {
        name: mutant
        for name, mutant in catalogue().items()
        if not options.only or re.search(options.only, name)
    }
    for mutant in chosen.values():
        planting.check(mutant)
    settings = Settings(jobs=options.jobs, device=options.device, keyword=options.keyword)
    with tempfile.TemporaryDirectory(prefix="piecewise-matrix-") as folder:
        scratch = Path(folder)
        baseline = _baseline(scratch, settings, use_kept=bool(options.only) and not options.part)
        if problems := [r for r in baseline if r["status"] not in ("pass", *_SKIPPED)]:
            for run in problems[:10]:
                print(f"the reference itself: {run['test']}: {run.get('message', run['status'])}")
            return 3
        print(f"baseline: {len(baseline)} tests, {time.monotonic() - began:.0f} s", flush=True)
        on_gpu = environment.missing("gpu") is None
        if options.part or on_gpu:
            chosen = asked_of(chosen, {run["id"] for run in baseline}, on_gpu=on_gpu)
        plan = make_plan(chosen, baseline, thorough=options.thorough or options.accept)
        runs = _run(scratch, plan, baseline, settings)
    verdicts = judge(chosen, plan, runs)
    if options.accept:
        accept(verdicts)
        catalogue.cache_clear()
        killers.keep(runs, catalogue())
    ok = _print(verdicts, time.monotonic() - began, accepted=options.accept)
    if options.json:
        options.json.write_text(json.dumps(_as_json(verdicts), indent=1))
    return 0 if ok else 1


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m piecewise_conformance.mutants")
    parser.add_argument("--only", metavar="REGEX", help="mutants whose name matches")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the matrix there")
    parser.add_argument("--thorough", action="store_true", help="judge every requirement in full")
    parser.add_argument("--jobs", type=int, default=0)
    parser.add_argument(
        "--accept", action="store_true", help="rewrite the declared sets, to be reviewed as a diff"
    )
    parser.add_argument("-k", dest="keyword", default="", help="only tests that match, as in run")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    options = parser.parse_args(arguments)
    options.part = bool(options.keyword) or options.device != "cpu"
    if options.part and options.accept:
        parser.error("--accept asks the whole suite, on a CPU: leave out -k and --device")
    return options


def _baseline(scratch: Path, settings: Settings, *, use_kept: bool) -> list[dict[str, Any]]:
    """The run of the suite on the instrumented reference, as far as it is not known."""
    if settings.keyword or settings.device != "cpu":
        return run_plan(scratch, "baseline", {}, settings)
    reach_of = KeptReach()
    known = reach_of.fresh() if use_kept else {}
    runs = [run for name in sorted(known) for run in known[name]]
    if set(known) != {path.name for path in SUITE_FOLDER.glob("test_*.py")}:
        runs += run_plan(scratch, "baseline", {}, settings, without=known)
    if all(run["status"] in ("pass", *_SKIPPED) for run in runs):
        reach_of.keep(runs)
    return runs


def asked_of(mutants: dict[str, Mutant], asked: set[str], *, on_gpu: bool) -> dict[str, Mutant]:
    """The mutants, each with what it must fail of the requirements ``asked``.

    A mutant that must fail none of them is left out.
    """
    found = {}
    for name, mutant in mutants.items():
        fails = mutant.fails | (mutant.fails_on_gpu if on_gpu else frozenset())
        if mutant.is_variant or fails & asked:
            found[name] = dataclasses.replace(mutant, fails=fails & asked)
    return found


def _run(
    scratch: Path, plan: Plan, baseline: list[dict[str, Any]], settings: Settings
) -> list[dict[str, Any]]:
    """The runs of ``plan``, but for those that a killer makes superfluous."""
    requirement_of = {run["test"]: run["id"] for run in baseline}
    first = killers.first_tries(plan, requirement_of, killers.load())
    runs = run_plan(scratch, "matrix", first, settings) if first else []
    if rest := killers.still_to_run(plan, first, requirement_of, runs):
        runs += run_plan(scratch, "rest", rest, settings)
    return runs


def run_plan(
    scratch: Path,
    name: str,
    plan: Plan,
    settings: Settings,
    without: Iterable[str] = (),
    more: Iterable[str] = (),
) -> list[dict[str, Any]]:
    """One pytest run over ``plan``, but for the files ``without``; its runs.

    ``more`` are further arguments of pytest.
    """
    work = scratch / name
    work.mkdir()
    variables = environment_of(settings, scratch)  # both runs share compiled code
    plan_file, runs_file = work / "plan.json", work / "runs.jsonl"
    plan_file.write_text(json.dumps(plan))
    command = command_of(dataclasses.replace(settings, out=work), work)
    command += ["-p", "piecewise_conformance.mutants.matrix"]
    command += [f"--piecewise-plan={plan_file}", f"--piecewise-runs={runs_file}"]
    command += [f"--ignore={SUITE_FOLDER / each}" for each in without]
    command += ["--tb=no"]  # to print where a mutant failed takes as long as the test
    command += more
    log = work / "pytest.log"
    with log.open("wb") as file:
        done = subprocess.run(
            command,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode not in (0, 1) or not runs_file.exists():
        print(log.read_text(errors="replace")[-3000:])
        raise SystemExit(3)
    return [json.loads(line) for line in runs_file.read_text().splitlines()]


def make_plan(
    mutants: dict[str, Mutant], baseline: list[dict[str, Any]], *, thorough: bool = False
) -> Plan:
    """For each test the mutants to run it on, by the statements that it reached."""
    passed = [run for run in baseline if run["status"] == "pass"]
    slow = [run for run in passed if run["slow"]]
    by_place: dict[str, set[int]] = defaultdict(set)  # statements, and whole files
    for at, run in enumerate(passed):
        for key in run["reached"]:
            by_place[key].add(at)
            by_place[key.partition(":")[0]].add(at)
    plan: Plan = defaultdict(list)
    for name, mutant in mutants.items():
        places = planting.statements_of(mutant)
        reaching: dict[int, list[dict[str, Any]]] = defaultdict(list)
        for at in sorted(set().union(*(by_place[each] for each in places if each in by_place))):
            if not passed[at]["slow"]:
                reaching[_level(passed[at])].append(passed[at])
        reaching[_SLOW] = slow
        level = _SLOW if mutant.slow else min(reaching, default=_SLOW)
        chosen = _selected(reaching[level], mutant.fails, thorough)
        # a declared requirement is judged wherever its tests are, but by slow ones only at need
        for above in range(level + 1, _SLOW + 1):
            judged = {run["id"] for run in chosen} if above == _SLOW else set()
            chosen += [run for run in reaching[above] if run["id"] in mutant.fails - judged]
        for run in chosen:
            plan[run["test"]].append(name)
    return dict(plan)


def _level(run: dict[str, Any]) -> int:
    return _WHOLE if any(key.startswith("backend.py:") for key in run["reached"]) else _PART


def _selected(
    runs: list[dict[str, Any]], declared: frozenset[str], thorough: bool
) -> list[dict[str, Any]]:
    """All runs of the requirements ``declared``, and of the others a sample, or all of them.

    The sample: one a requirement in the families that are declared, one a family elsewhere; for a
    variant, which declares none, one a requirement. It is the first by name, so that each run takes
    the same. Of slow ones even that is too much: none, or one a function.
    """
    families = {id.partition("-")[0] for id in declared}
    kept: dict[tuple[str, str], dict[str, Any]] = {}
    for run in sorted(runs, key=lambda run: run["test"]):
        family = run["id"].partition("-")[0]
        near = not declared or family in families
        if run["id"] in declared or (thorough and not run["slow"]):
            kept[run["id"], run["test"]] = run
        elif run["slow"]:
            if thorough:
                kept.setdefault((run["id"], run["test"].partition("[")[0]), run)
        else:
            kept.setdefault((run["id"] if near else family, ""), run)
    return list(kept.values())


def judge(mutants: dict[str, Mutant], plan: Plan, runs: list[dict[str, Any]]) -> list[Verdict]:
    """The verdict on each mutant."""
    verdicts = {name: Verdict(mutant) for name, mutant in mutants.items()}
    for run in runs:
        if run["status"] == "lost":
            for name in plan[run["test"]]:
                verdicts[name].errors.append(f"{run['test']} killed its worker")
            continue
        verdict = verdicts[run["subject"]]
        verdict.tests += 1
        verdict.seconds += run["seconds"]
        if run["status"] in KILLED:
            verdict.failed.setdefault(run["id"], f"{run['test']}: {run['message']}")
        elif run["status"] not in ("pass", *_SKIPPED):
            verdict.errors.append(f"{run['test']}: {run['status']}: {run['message'][:500]}")
    return list(verdicts.values())


def accept(verdicts: list[Verdict]) -> None:
    """Write what was measured into the catalogue, one ``fails = [...]`` line a mutant."""
    for verdict in verdicts:
        if verdict.mutant.is_variant or verdict.errors:
            continue
        path = FOLDER / verdict.mutant.source
        text = path.read_text(encoding="utf-8")
        measured = ", ".join(f'"{each}"' for each in sorted(verdict.failed))
        # from the name of the mutant to the line that declares, within its own table
        inside = r"(?:(?!^\[\[(?:mutant|variant)\]\]).)*?"
        pattern = rf'(name = "{re.escape(verdict.mutant.name)}"\n{inside}^fails = )\[[^\]]*\]'
        fresh, count = re.subn(pattern, rf"\1[{measured}]", text, count=1, flags=re.S | re.M)
        if count != 1:
            raise ValueError(f"{path.name}: {verdict.mutant.name} has no line fails = [...]")
        path.write_text(fresh, encoding="utf-8")


def _print(verdicts: list[Verdict], seconds: float, *, accepted: bool) -> bool:
    """Print the matrix; whether all is as declared."""
    wrong = 0
    # what is wrong comes last, where it is seen
    for verdict in sorted(verdicts, key=lambda v: (not v.right, v.mutant.source, v.mutant.name)):
        mutant, failed = verdict.mutant, set(verdict.failed)
        mark = "ok" if verdict.right or (accepted and failed and not verdict.errors) else "WRONG"
        wrong += mark != "ok"
        kind = "passes" if mutant.is_variant else "fails"
        print(
            f"{mark:5} {mutant.name}: {kind} {', '.join(sorted(failed)) or '-'} ({verdict.tests})"
        )
        for requirement in sorted(mutant.fails - failed) if not accepted else ():
            print(f"        not failed: {requirement}")
        for requirement in sorted(failed - mutant.fails) if not accepted else ():
            print(f"        not declared: {requirement}: {verdict.failed[requirement][:300]}")
        for error in verdict.errors[:3]:
            print(f"        error: {error}")
        if not verdict.tests:
            print("        no test reaches it")
    requirements = load_requirements()
    killed = {each for verdict in verdicts for each in verdict.failed}
    bare = [
        each.id
        for each in requirements.values()
        if not each.retired and each.level == "MUST" and each.id not in killed
        if "gpu" not in each.profiles or environment.missing("gpu") is None
    ]
    everything = len(verdicts) == len(catalogue())
    if everything and bare:
        print(f"WRONG MUST without a mutant that fails it: {', '.join(bare)}")
    print(f"{len(verdicts) - wrong} passed, {wrong} failed in {seconds:.0f} s")
    return wrong == 0 and not (everything and bare)


def _as_json(verdicts: list[Verdict]) -> list[dict[str, Any]]:
    return [
        {
            "name": verdict.mutant.name,
            "about": verdict.mutant.about,
            "variant": verdict.mutant.is_variant,
            "declared": sorted(verdict.mutant.fails),
            "failed": verdict.failed,
            "errors": verdict.errors,
            "tests": verdict.tests,
            "seconds": round(verdict.seconds, 3),
        }
        for verdict in verdicts
    ]


if __name__ == "__main__":
    assert reach.INSTRUMENTED not in catalogue(), "the name of the instrumented reference is taken"
    sys.exit(main())
