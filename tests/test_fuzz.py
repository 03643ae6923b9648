"""The search: what it finds, what it leaves, and that it finds nothing where nothing is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from piecewise_conformance.fuzzing.search import Options, search
from piecewise_conformance.report import read_report
from piecewise_conformance.verdict import Status

SUBJECTS = Path(__file__).parent / "subjects"


def test_a_fault_is_found_and_shows_alone(tmp_path: Path) -> None:
    """A fault is found, its program is short, and its script fails in a fresh process."""
    backend = str(SUBJECTS / "out_of_order.py")
    status = search(Options(backend, 2.0, 1, 0, tmp_path, capture="direct", stop_at_first=True))
    report = read_report(tmp_path / "report.jsonl")
    failed = [each for each in report.results if each.status is Status.FAIL]
    assert status == 1
    assert report.complete
    assert failed
    assert not any("did NOT show again" in each.message for each in failed)
    script = tmp_path / str(failed[0].repro)
    done = subprocess.run([sys.executable, str(script)], capture_output=True, check=False)
    assert done.returncode == 1, done.stderr


def test_nothing_is_found_in_the_reference(tmp_path: Path) -> None:
    """The reference passes what is drawn in a few seconds, and the report counts it."""
    assert search(Options("reference", 0.2, 1, 3, tmp_path, capture="direct")) in (0, 3)
    report = read_report(tmp_path / "report.jsonl")
    assert not [each for each in report.results if each.failing]
    assert [each for each in report.results if each.status is Status.PASS]
