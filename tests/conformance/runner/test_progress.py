"""What a run says while it runs."""

from __future__ import annotations

import io
import json
from collections import Counter
from pathlib import Path

import pytest
from piecewise_conformance.core.verdict import Status
from piecewise_conformance.reporting.report import ReportWriter, Result
from piecewise_conformance.reporting.verdict import make_footer
from piecewise_conformance.runner.progress import (
    Durations,
    Progress,
    progress_line,
    recorded,
    seconds_left,
)

HEADER = {
    "subject": {"name": "s", "spec": "s", "version": ""},
    "versions": {},
    "device": "cpu",
    "seed": 0,
    "profiles": ["full"],
    "keyword": "",
}
CASES = [f"quick[{n}]" for n in range(90)] + [f"slow[{n}]" for n in range(10)]


def took(case: str) -> float:
    """What a test takes on the machine that recorded it."""
    return 30.0 if case.startswith("slow") else 0.1


def test_a_line() -> None:
    """Counts, and the time that is left where it is known."""
    counts = Counter({"pass": 9, "fail": 1})
    assert progress_line(counts, 10, 40, 180.0) == "10 of 40 tests (1 fail), about 3:00 left"
    assert progress_line(counts, 10, 40, None) == "10 of 40 tests (1 fail)"


def test_what_was_recorded_tells_what_is_left() -> None:
    """Slow tests that come first do not make the rest seem slow; a slower machine does."""
    known = Durations({case: took(case) for case in CASES})
    slow = [case for case in CASES if case.startswith("slow")]
    assert seconds_left(known, slow, CASES, 300.0) == pytest.approx(9.0)
    assert seconds_left(known, slow, CASES, 600.0) == pytest.approx(18.0)
    assert seconds_left(known, slow[:1], CASES, 30.0) == pytest.approx(279.0)
    assert seconds_left(known, [], CASES, 30.0) is None


def test_a_first_run_learns_from_itself() -> None:
    """Nothing is said before some tests are done; then tests of one function are taken as alike."""
    learning = Durations({})
    done = [*CASES[:10], *CASES[-5:]]
    assert seconds_left(learning, CASES[-1:], CASES, 30.0) is None
    for case in done:
        learning.learn(case, took(case))
    assert seconds_left(learning, done, CASES, 151.0) == pytest.approx(158.0)


def test_the_last_complete_report_has_the_records(tmp_path: Path) -> None:
    """Also after the new run has moved it aside."""
    assert recorded(tmp_path) == {}
    writer = ReportWriter(tmp_path / "report.jsonl")
    result = Result("MINI-001", "a", Status.PASS, seconds=3.0)
    writer.start(HEADER)
    writer.add(result)
    writer.finish(make_footer([result], seconds=3.0))
    assert recorded(tmp_path) == {"a": 3.0}
    writer.start(HEADER)
    assert recorded(tmp_path) == {"a": 3.0}


def test_at_most_a_line_each_ten_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where lines are not written over."""
    clock = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    (tmp_path / "begun").touch()
    (tmp_path / "selected.json").write_text(json.dumps([f"x.py::test_{each}" for each in CASES]))
    writer = ReportWriter(tmp_path / "report.jsonl")
    writer.start(HEADER)
    stream = io.StringIO()
    shown = Progress(writer.path, tmp_path, stream, {})
    for second in range(100):
        clock[0] = float(second)
        writer.add(Result("MINI-001", CASES[second], Status.PASS, seconds=1.0))
        shown.tell()
    lines = stream.getvalue().splitlines()
    assert len(lines) == 9
    assert lines[0].startswith("10 of 100 tests, about 1:")
