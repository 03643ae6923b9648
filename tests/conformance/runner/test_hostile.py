"""Hostile subjects: each deed gets its verdict, and the run around it completes."""

from __future__ import annotations

import dataclasses
import io
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from piecewise_conformance.reporting.report import read_report
from piecewise_conformance.runner.run import LOG, Settings, run

HERE = Path(__file__).parents[2]
MINIATURE = HERE / "miniature" / "hostile"


@pytest.mark.parametrize(
    ("deed", "status", "says"),
    [
        ("segfault", "crash", "SIGSEGV"),
        ("exit", "crash", "exit status 0"),
        ("hang", "timeout", "not finished after"),
        ("hang_without_alarm", "timeout", "had cancelled the alarm"),
        ("fork", "pass", ""),
        ("eat_memory", "crash", "--memory"),
        ("eat_memory_of_torch", "crash", "--memory"),
        ("change_torch", "pass", ""),
        ("print", "pass", ""),
        ("print_and_raise", "fail", "characters omitted"),
        ("catch_signals", "pass", ""),
    ],
)
def test_a_deed(
    deed: str, status: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The deed has its status; the tests before and after pass; the report has a footer."""
    monkeypatch.setenv("HOSTILE", deed)
    settings = Settings(
        backend=str(HERE / "subjects" / "hostile.py"),
        jobs=1,
        out=tmp_path,
        timeout=2.0 if deed.startswith("hang") else 60.0,
        memory=3000 if "memory" in deed else 0,
        suite=MINIATURE / "suite",
        spec=MINIATURE / "spec",
    )
    code = run(settings, io.StringIO())
    report = read_report(tmp_path / "report.jsonl")
    found = {each.case: each for each in report.results}
    assert {case: each.status.value for case, each in found.items()} == {
        "before": "pass",
        "deed": status,
        "next": "pass",
    }, found
    assert says in found["deed"].message
    assert report.complete
    assert code == (0 if status == "pass" else 1)
    assert (tmp_path / "report.jsonl").stat().st_size < 1 << 17
    assert (tmp_path / LOG).stat().st_size < 1 << 17


def test_a_run_that_was_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its processes end with it, and --resume runs only what has no verdict."""
    settings = Settings(
        backend=str(HERE / "subjects" / "hostile.py"),
        jobs=1,
        out=tmp_path,
        suite=MINIATURE / "suite",
        spec=MINIATURE / "spec",
    )
    code = f"from pathlib import *; from {run.__module__} import *; run({settings!r})"
    path = tmp_path / "report.jsonl"
    monkeypatch.setenv("HOSTILE", "kill_runner")
    monkeypatch.setenv("HOSTILE_REPORT", str(path))
    assert subprocess.run([sys.executable, "-c", code]).returncode == -signal.SIGKILL
    killed = read_report(path)
    assert [each.case for each in killed.results] == ["before"]
    assert not killed.complete
    monkeypatch.setenv("HOSTILE", "print")
    assert run(dataclasses.replace(settings, resume=True), io.StringIO()) == 0
    resumed = read_report(path)
    assert resumed.complete
    assert resumed.results[0] == killed.results[0]
    assert sorted(each.case for each in resumed.results) == ["before", "deed", "next"]
