"""The suite itself, on the reference: requirements of the smoke profile, and drawn programs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from piecewise_conformance.fuzzing.judging import judge, prepare
from piecewise_conformance.fuzzing.properties import DIRECT, DYNAMO, chosen
from piecewise_conformance.reporting.report import read_report
from piecewise_conformance.testkit.generated.programs import Drawn
from piecewise_fixtures.generated import seeded

from piecewise_benchmarks.measure import timed
from piecewise_benchmarks.peers import subject

PROGRAMS = {DIRECT: 40, DYNAMO: 4}


def on_the_wall() -> float:
    """The clock on the wall, in seconds: a run has processes of its own."""
    return os.times().elapsed


@pytest.mark.benchmark(timer=on_the_wall)
def test_smoke(benchmark: Any, tmp_path: Path) -> None:
    """A whole run with a verdict: ``run --profile smoke``."""
    command = [sys.executable, "-m", "piecewise_conformance", "run", "--profile", "smoke"]
    command += ["--out", str(tmp_path)]

    def run() -> int:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert done.returncode == 0, done.stdout[-3000:]
        return len({each.id for each in read_report(tmp_path / "report.jsonl").results})

    judged = run()
    assert judged
    timed(
        benchmark,
        run,
        group="the smoke profile, on the wall",
        size=judged,
        unit="requirement",
        order=None,
        check=lambda count: None,
        rounds=1,
    )


@pytest.mark.parametrize("capture", PROGRAMS)
def test_programs(benchmark: Any, capture: str) -> None:
    """Drawn programs, judged by all properties that are asked of a program."""
    count = PROGRAMS[capture]
    asked = [each for each in chosen(capture) if each.is_of_programs]

    def run() -> int:
        good = 0
        for number in range(count):
            drawn = Drawn(seeded(f"benchmark:{number}"))
            assert not prepare(drawn, capture)
            good += not any(each.failed for each in judge(subject("reference"), drawn, asked))
            drawn.forget()
        return good

    def check(good: int) -> None:
        assert good == count

    timed(
        benchmark,
        run,
        group=f"drawn programs, {capture}",
        size=count,
        unit="program",
        order=None,
        check=check,
        rounds=3,
    )
