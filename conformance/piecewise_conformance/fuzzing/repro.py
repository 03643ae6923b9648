"""A failing program as a script of its own, and the run of that script in a fresh process."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from piecewise_fixtures.generated import Program, from_json, printing

from ..loading import load_subject
from ..verdict import Status
from .judging import as_graph, judge
from .properties import DIRECT, properties

FAILED, HELD, NO_VERDICT = 1, 0, 3

_SCRIPT = '''\
"""{requirement} fails: {message}

Found by seed {seed}, through {capture}. Run it where the backend can be loaded:

    python {name}

Exit status: {failed} it fails, {held} it holds, {no_verdict} neither could be told.
"""

# --- the program, as a person would write it ---

{module}

# --- the same as data: what is run below ---

PROGRAM = r"""
{program}
"""

# --- the backend, and what it must do ---

BACKEND = {backend!r}

if __name__ == "__main__":
    from piecewise_conformance.fuzzing.repro import main

    raise SystemExit(main(BACKEND, {key!r}, PROGRAM))
'''


@dataclass(frozen=True)
class Rerun:
    """What came of a script in a process of its own."""

    failed: bool
    status: int | None  # as of Popen; None if it did not end in time
    text: str


def script(backend: str, key: str, program: Program, seed: str, message: str, name: str) -> str:
    """The text of the script."""
    found = properties()[key]
    module = printing.module(program)
    if found.capture == DIRECT:
        lines = str(as_graph(program).gm.graph).splitlines()
        module += "\n\n# the graph of it, which was built without Dynamo:\n#"
        module += "\n#".join(f" {each}" if each else "" for each in lines)
        module += f"\n#\n# splitting ops: {', '.join(program.splitting_ops) or 'none'}\n"
    first = " ".join(message.split())[:200].replace("\\", "/").replace('"', "'")
    return _SCRIPT.format(
        requirement=found.requirement,
        message=first,
        seed=seed,
        capture="Dynamo" if found.capture != DIRECT else "a graph built directly",
        name=name,
        module=module.rstrip(),
        program=program.to_json(),
        backend=backend,
        key=key,
        failed=FAILED,
        held=HELD,
        no_verdict=NO_VERDICT,
    )


def main(backend: str, key: str, text: str) -> int:
    """Judge the program once more, and say what came."""
    subject = load_subject(backend)
    (judged,) = judge(subject, from_json(text), [properties()[key]])
    outcome = judged.outcome
    print(f"{key}: {outcome.status.value}: {outcome.message}")
    if outcome.expected or outcome.got:
        print(f"expected  {outcome.expected}\ngot       {outcome.got}")
    if judged.failed:
        return FAILED
    return HELD if outcome.status is Status.PASS else NO_VERDICT


def rerun(path: Path, timeout: float = 120.0) -> Rerun:
    """Run the script at ``path`` in a fresh process, as a person would."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    try:
        done = subprocess.run(
            [sys.executable, str(path)],
            capture_output=True,
            text=True,
            timeout=timeout,
            env=environment,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Rerun(False, None, f"no end after {timeout:g} s")
    # a process that died by a signal has failed as well
    failed = done.returncode == FAILED and "Traceback" not in done.stderr
    return Rerun(failed or done.returncode < 0, done.returncode, done.stdout + done.stderr[-2000:])
