"""The kill matrix: ``python -m piecewise_conformance.mutation``.

First the suite runs on the instrumented reference, which must pass and tells which statements each
test reaches. Then every mutant is run, in one pytest run, on tests that reach what it changes, and
must fail exactly the requirements that it declares. To keep that quick, not all tests are asked
(:mod:`.plan`; ``--thorough``, and ``--accept`` with it, asks more), the test that failed a mutant
before is tried first (:mod:`.killers`), and all is one run of pytest (:mod:`.rounds`).

``--measure`` keeps which tests are quick, of which samples are taken (:mod:`.samples`).

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
from pathlib import Path
from typing import Any

from ..core import coverage
from ..core.requirements import load as load_requirements
from ..runner.run import Settings, command_of, environment_of
from . import FOLDER, Mutant, catalogue, killers, planting, samples
from .kept_reach import KeptReach
from .killers import KILLED, Plan
from .leader import Outcome, Runs, Task
from .plan import SKIPPED, asked_here

_TIMES = 3  # that --measure runs each test

# Inductor takes it that the compiler can build for this processor. To find out it builds for each
# set of instructions, which takes longer than all that it compiles here.
_COMPILES = {"TORCHINDUCTOR_VEC_ISA_OK": "1"}


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
        task = Task(list(chosen), options.thorough or options.accept, options.part)
        reach_of = KeptReach()
        if options.only and not options.part:
            task.known = [run for runs in reach_of.fresh().values() for run in runs]
        if options.measure:
            task.times = _TIMES
        found = find_out(scratch, task, settings)
    reference = found.runs if options.measure else found.baseline
    if problems := [r for r in reference if r["status"] not in ("pass", *SKIPPED)]:
        for run in problems[:10]:
            print(f"the reference itself: {run['test']}: {run.get('message', run['status'])}")
        return 3
    if options.measure:
        samples.keep(reference)
        return 0
    if not options.part:
        reach_of.keep(found.baseline)
    chosen = asked_here(chosen, found.baseline, part=options.part, on_gpu=found.on_gpu)
    verdicts = judge(chosen, found.plan, found.runs)
    if options.accept:
        accept(verdicts)
        catalogue.cache_clear()
        killers.keep(found.runs, catalogue())
    seconds = time.monotonic() - began
    print(f"the reference: {len(found.baseline)} tests; mutants: {len(found.runs)} runs")
    print(f"rounds: {', '.join(f'{each:.0f} s' for each in found.seconds)}")
    ok = _print(verdicts, seconds, accepted=options.accept, on_gpu=found.on_gpu)
    if options.json:
        options.json.write_text(json.dumps(_as_json(verdicts), indent=1))
    return 0 if ok else 1


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m piecewise_conformance.mutation")
    parser.add_argument("--only", metavar="REGEX", help="mutants whose name matches")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the matrix there")
    parser.add_argument("--thorough", action="store_true", help="judge every requirement in full")
    parser.add_argument("--jobs", type=int, default=0)
    parser.add_argument(
        "--accept", action="store_true", help="rewrite the declared sets, to be reviewed as a diff"
    )
    parser.add_argument(
        "--measure", action="store_true", help="keep which tests are quick, and judge nothing"
    )
    parser.add_argument("-k", dest="keyword", default="", help="only tests that match, as in run")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    options = parser.parse_args(arguments)
    options.part = bool(options.keyword) or options.device != "cpu"
    if options.part and options.accept:
        parser.error("--accept asks the whole suite, on a CPU: leave out -k and --device")
    if options.measure and (options.part or options.only or options.accept):
        parser.error("--measure asks the whole suite and no mutant: leave out all but --jobs")
    return options


def find_out(scratch: Path, task: Task, settings: Settings) -> Outcome:
    """One pytest run that does ``task``."""
    task.write(scratch / "task.json")
    return _pytest(scratch, {}, settings, f"--piecewise-task={scratch / 'task.json'}")


def run_plan(scratch: Path, plan: Plan, settings: Settings) -> Runs:
    """One pytest run over ``plan``, of test functions; its runs."""
    return _pytest(scratch, plan, settings).runs


def _pytest(scratch: Path, plan: Plan, settings: Settings, *more: str) -> Outcome:
    plan_file, outcome = scratch / "plan.json", scratch / "outcome.json"
    plan_file.write_text(json.dumps(plan))
    command = command_of(dataclasses.replace(settings, out=scratch), scratch)
    command += ["-p", "piecewise_conformance.mutation.matrix"]
    command += [f"--piecewise-plan={plan_file}", f"--piecewise-outcome={outcome}"]
    command += ["--tb=no"]  # to print where a mutant failed takes as long as the test
    command += more
    log = scratch / "pytest.log"
    with log.open("wb") as file:
        done = subprocess.run(
            command,
            env={**_COMPILES, **environment_of(settings, scratch)},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode not in (0, 1) or not outcome.exists():
        print(log.read_text(errors="replace")[-3000:])
        raise SystemExit(3)
    return Outcome.read(outcome)


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
        elif run["status"] not in ("pass", *SKIPPED):
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


def _print(verdicts: list[Verdict], seconds: float, *, accepted: bool, on_gpu: bool) -> bool:
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
        if on_gpu or "gpu" not in each.profiles
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
    assert coverage.INSTRUMENTED not in catalogue(), (
        "the name of the instrumented reference is taken"
    )
    sys.exit(main())
