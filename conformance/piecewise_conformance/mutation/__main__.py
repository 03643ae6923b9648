"""The kill matrix: ``python -m piecewise_conformance.mutation``.

The suite runs on the instrumented reference, which must pass (:mod:`.matrix`). Then every mutant
is run on tests that reach what it changes (:mod:`.selection`) and must fail exactly the
requirements that it declares (:mod:`.verdicts`). With ``-k`` only a part of the suite is run, with
``--device cuda`` real CUDA graphs; on a GPU some mutants declare more.

Exit status: 0 all as declared, 1 a declaration is wrong or a MUST has no mutant, 3 the run failed.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from ..isolation.watchdog import how_ended
from ..runner.run import Settings, environment_of, suite_command
from . import planting
from .catalogue import FOLDER, Mutant, catalogue
from .matrix import PASSED
from .selection import covering, declaring_here
from .verdicts import accept, judge, show

_TIMEOUT = 60.0  # seconds that one test may take on a mutant

# Inductor takes it that the compiler can build for this processor. To find out it builds for each
# set of instructions, which takes longer than all that it compiles here.
_ENVIRONMENT = {"TORCHINDUCTOR_VEC_ISA_OK": "1", "OMP_NUM_THREADS": "1"}


def main(arguments: list[str] | None = None) -> int:
    """Run the matrix; the exit status."""
    options = _options(arguments)
    began = time.monotonic()
    chosen = {
        name: mutant
        for name, mutant in catalogue().items()
        if not options.only or re.search(options.only, name)
    }
    if options.covering:
        chosen = covering(chosen)
    settings = Settings(
        jobs=options.jobs, device=options.device, keyword=options.keyword, timeout=_TIMEOUT
    )
    part = bool(options.keyword) or options.device != "cpu"
    thorough = options.thorough or options.accept
    found = run_matrix(chosen, settings, thorough=thorough, part=part)
    if problems := [run for run in found["baseline"] if run["status"] not in PASSED]:
        for run in problems[:10]:
            print(f"the reference fails {run['test']}: {run['message'] or run['status']}")
        return 3
    if part or found["on_gpu"]:
        asked = {run["id"] for run in found["baseline"]}
        chosen = declaring_here(chosen, asked, on_gpu=found["on_gpu"])
    verdicts = judge(chosen, found["runs"])
    if options.accept:
        accept(verdicts)
        verdicts = judge({name: catalogue()[name] for name in chosen}, found["runs"])
    print(f"reference: {len(found['baseline'])} tests, {found['seconds']:.0f} s")
    print(f"mutants: {len(found['runs'])} test runs")
    seconds = time.monotonic() - began
    ok = show(verdicts, seconds, on_gpu=found["on_gpu"])
    if options.json:
        options.json.write_text(json.dumps([each.to_json() for each in verdicts], indent=1))
    return 0 if ok else 1


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m piecewise_conformance.mutation")
    parser.add_argument("--only", metavar="REGEX", help="only mutants whose name matches")
    parser.add_argument(
        "--covering", action="store_true", help="only a few mutants that cover all requirements"
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write the matrix to FILE as JSON"
    )
    parser.add_argument("--thorough", action="store_true", help="judge every requirement in full")
    parser.add_argument("--jobs", type=int, default=0, help="worker processes (default: all cores)")
    parser.add_argument(
        "--accept",
        action="store_true",
        help="write the measured sets into the mutant files, to be reviewed as a diff",
    )
    parser.add_argument("-k", dest="keyword", default="", help="only tests that match, as in run")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    options = parser.parse_args(arguments)
    if options.accept and (options.keyword or options.device != "cpu"):
        parser.error("--accept needs the whole suite on a CPU; drop -k and --device")
    return options


def run_matrix(
    mutants: dict[str, Mutant],
    settings: Settings,
    *,
    thorough: bool = False,
    part: bool = False,
    folder: Path = FOLDER,
    **more: Any,
) -> dict[str, Any]:
    """Run ``mutants`` of the catalogue in ``folder``: the runs on the reference and on each mutant.

    ``part`` is for a run of a part of the suite, or on a GPU: a mutant is then judged by the
    requirements that the run asks. ``more`` of the task is described in :mod:`.matrix`. Raises
    ValueError for a mutant that cannot be planted.
    """
    for mutant in mutants.values():
        planting.check(mutant)
    with tempfile.TemporaryDirectory(prefix="piecewise-matrix-") as temporary:
        scratch = Path(temporary)
        task = {"mutants": list(mutants), "thorough": thorough, "part": part}
        task |= {"folder": str(folder), "jobs": settings.workers, **more}
        (scratch / "task.json").write_text(json.dumps(task))
        command = suite_command(settings, scratch)
        command += ["-p", "piecewise_conformance.mutation.matrix", "--tb=no"]
        command += [f"--piecewise-task={scratch / 'task.json'}"]
        command += [f"--piecewise-outcome={scratch / 'outcome.json'}"]
        log = scratch / "pytest.log"
        with log.open("wb") as file:
            ended = subprocess.run(
                command,
                env={**environment_of(settings, scratch), **_ENVIRONMENT},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                check=False,
            )
        if not (scratch / "outcome.json").exists():
            print(log.read_text(errors="replace")[-5000:])
            print(how_ended(ended.returncode))
            raise SystemExit(3)
        found: dict[str, Any] = json.loads((scratch / "outcome.json").read_text())
        return found


if __name__ == "__main__":
    sys.exit(main())
