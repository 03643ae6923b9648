"""The suite itself: how long a verdict takes, in processor time of its processes.

``smoke`` is judged whole, once, and must pass; the figure is a requirement's share.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from piecewise_conformance.requirements import load


def children() -> float:
    """Seconds of processor that the processes which ended took."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.benchmark(timer=children)
def test_smoke(benchmark: Any, folder: str) -> None:
    report = Path(folder) / "report"

    def run() -> None:
        command = [sys.executable, "-m", "piecewise_conformance", "run", "--profile", "smoke"]
        done = subprocess.run([*command, "--out", str(report)], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-2000:]

    benchmark.group = group = "the suite: smoke"
    size = len(load())
    benchmark.extra_info.update(
        by="reference", group=group, size=size, unit="requirement", order=None
    )
    benchmark.pedantic(run, rounds=1, iterations=1)
