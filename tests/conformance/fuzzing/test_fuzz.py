"""The search: what it finds, what it leaves, and that it finds nothing where nothing is."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from piecewise_conformance.cli.arguments import seed_range
from piecewise_conformance.cli.main import main
from piecewise_conformance.core.verdict import Status
from piecewise_conformance.fuzzing.search import Options, search
from piecewise_conformance.reporting.report import FAILED, read_report
from piecewise_fixtures.generated.corpus import CAPTURED

SUBJECTS = Path(__file__).parents[2] / "subjects"
DEADLY = str(SUBJECTS / "deadly.py")


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


def test_processes_are_renewed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A process makes so many captures and no more; another goes on where it ended."""
    options = Options("reference", 5.0, 1, 0, tmp_path, capture="dynamo", programs=4, captures=9)
    assert search(options) in (0, 3)
    report = read_report(tmp_path / "report.jsonl")
    assert not [each for each in report.results if each.failing]
    told = [line for line in capsys.readouterr().out.splitlines() if " features; " in line][-1]
    assert int(told.split()[0]) == len(CAPTURED) + 4, told
    assert "processes that died: 0" in told


def test_a_range_of_programs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A range that does not begin at 0 leaves out the corpus and the programs before it."""
    options = Options("reference", 5.0, 1, 0, tmp_path, capture="direct", programs=25, start=20)
    assert search(options) in (0, 3)
    told = [line for line in capsys.readouterr().out.splitlines() if " features; " in line][-1]
    assert 0 < int(told.split()[0]) <= 5, told


def test_ranges_are_checked() -> None:
    """Two numbers, the second larger than the first."""
    assert seed_range("0-1000") == (0, 1000)
    for text in ("1000", "2-1", "3-3", "a-b", "-5"):
        with pytest.raises(argparse.ArgumentTypeError):
            seed_range(text)


def test_a_subject_that_dies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A crash and a hang are verdicts, the rest is searched, and the report can be read."""
    options = Options(DEADLY, 2.0, 1, 0, tmp_path / "new", 6.0, "direct", programs=20)
    assert search(options) == 1
    report = read_report(tmp_path / "new" / "report.jsonl")
    assert report.complete
    found = {each.case: each for each in report.results}
    crash, hang = found["fuzz[same_result, crash]"], found["fuzz[same_result, timeout]"]
    assert (crash.status, hang.status) == (Status.CRASH, Status.TIMEOUT)
    assert "SIGSEGV" in crash.message
    assert (crash.repro_run, hang.repro_run) == (FAILED, FAILED)
    assert found["fuzz[same_result]"].status is Status.PASS
    told = capsys.readouterr().out.splitlines()
    last = [line for line in told if " features; " in line][-1]
    assert int(last.split()[0]) >= 20, last  # all that come after the two
    assert last.endswith("processes that died: 2")

    # what reads reports reads these
    nothing = Options("reference", 0.0, 1, 0, tmp_path / "old", capture="direct")
    assert search(nothing) in (0, 3)
    capsys.readouterr()
    assert main(["render", str(tmp_path / "new")]) == 0
    assert "fuzz[same_result, crash]" in (tmp_path / "new" / "report.html").read_text()
    assert main(["diff", str(tmp_path / "old"), str(tmp_path / "new")]) == 1
    assert "fuzz[same_result, timeout]" in capsys.readouterr().out


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_processes_end_with_the_search(tmp_path: Path, end: signal.Signals) -> None:
    """However the search is ended: unless it was killed, with what it found so far."""
    pipe = tmp_path / "alive"
    os.mkfifo(pipe)
    command = [sys.executable, "-m", "piecewise_conformance", "fuzz", "--backend", DEADLY]
    command += ["--minutes", "5", "--jobs", "1", "--timeout", "300", "--out", str(tmp_path / "out")]
    environ = {**os.environ, "ALIVE": str(pipe)}
    runner = subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL)
    with runner, pipe.open("rb") as alive:
        assert [alive.readline() for _ in range(2)] == [b"alive\n"] * 2
        runner.send_signal(end)
        assert alive.read() == b""  # ends when nobody has it open
    if end is not signal.SIGKILL:
        assert read_report(tmp_path / "out" / "report.jsonl").complete
