"""Runs of a level, and their certificates."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from piecewise_conformance.certificate import CERTIFICATE, write_certificate
from piecewise_conformance.cli.main import main
from piecewise_conformance.core.levels import load_levels
from piecewise_conformance.core.requirements import load
from piecewise_conformance.core.verdict import NOT_OFFERED, Status
from piecewise_conformance.reporting.badge import badge
from piecewise_conformance.reporting.report import Report, ReportWriter, Result, read_report
from piecewise_conformance.reporting.verdict import (
    level_result,
    make_footer,
    requirements_of,
    scope_of,
)

SPEC = load()
LEVEL = list(load_levels().values())[-1]
HEADER = {
    "subject": {"name": "mine", "spec": "mine.py", "version": "1.2"},
    "subject_digest": "abc",
    "versions": {"torch": "2.13.0"},
    "device": "cpu",
    "seed": 0,
    "profiles": ["full"],
    "keyword": "",
    "level": LEVEL.name,
    "level_digest": LEVEL.digest,
}


def written(folder: Path, *changed: Result, leave_out: str = "", **header: object) -> Report:
    """A complete report in ``folder`` in which every requirement holds, but for ``changed``."""
    writer = ReportWriter(folder / "report.jsonl")
    writer.start({**HEADER, **header})
    results = {
        id: Result(id, "case", Status.PASS, level=SPEC[id].level)
        for id in LEVEL.sentences
        if id != leave_out
    }
    results |= {each.id: each for each in changed}
    for each in results.values():
        writer.add(each)
    report = read_report(writer.path)
    scope = scope_of(report.results, requirements_of(report.header, SPEC), "cpu")
    level = level_result(report.header, report.results)
    writer.finish(make_footer(report.results, seconds=1.0, scope=scope, level=level))
    return read_report(writer.path)


def test_a_certificate_is_earned_and_verified(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It names level, versions, counts and what was not judged, and ``verify`` accepts it."""
    report = written(
        tmp_path,
        Result("GPU-001", "case", Status.NOT_RUN, "no GPU"),
        Result("SERIAL-001", "case", Status.UNSUPPORTED, f"{NOT_OFFERED} serialize"),
        Result("COUNT-006", "case", Status.FAIL, "too many lines", level="SHOULD"),
    )
    path = tmp_path / CERTIFICATE
    assert write_certificate(tmp_path, SPEC) == f"certificate: {path}"
    made = json.loads(path.read_text())
    assert (made["level"], made["level_digest"]) == (LEVEL.name, LEVEL.digest)
    assert made["versions"]["torch"] == "2.13.0"
    number = len(LEVEL.sentences)
    assert made["counts"] == {"held": number - 3, "failed": 1, "unsupported": 1, "not_run": 1}
    assert (made["failed"], made["not_run"]) == (["COUNT-006"], ["GPU-001"])
    assert main(["verify", str(path), str(tmp_path)]) == 0
    told = f"{LEVEL.name} on torch 2.13.0: {number - 3} of {number - 2}, 1 unsupported, 1 not run"
    assert f"mine 1.2, level {told}" in capsys.readouterr().out
    assert report.footer is not None
    assert report.footer["level_result"] == told
    assert told in badge(report)


@pytest.mark.parametrize(
    ("result", "says"),
    [
        (Result("SPLIT-001", "case", Status.FAIL), "not conformant"),
        (Result("SPLIT-001", "case", Status.XFAIL), "expected failures: SPLIT-001"),
        (Result("SPLIT-001", "case", Status.UNSUPPORTED, "declined"), "not judged, .* SPLIT-001"),
    ],
)
def test_a_certificate_is_withheld(tmp_path: Path, result: Result, says: str) -> None:
    """After a failure, an expected failure, or a MUST that the subject declined."""
    (tmp_path / CERTIFICATE).write_text("of an earlier run")
    written(tmp_path, result)
    assert re.search(says, write_certificate(tmp_path, SPEC))
    assert not (tmp_path / CERTIFICATE).exists()


def test_a_part_of_a_level_earns_no_certificate(tmp_path: Path) -> None:
    """A MUST without a result was not selected. Without a level there is nothing to say."""
    written(tmp_path, leave_out="SPLIT-001")
    assert "SPLIT-001" in write_certificate(tmp_path, SPEC)
    written(tmp_path, level=None, level_digest=None)
    assert write_certificate(tmp_path, SPEC) == ""


def test_an_altered_certificate_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """So is one of another report; what is not a certificate is a usage error."""
    written(tmp_path)
    write_certificate(tmp_path, SPEC)
    path = tmp_path / CERTIFICATE
    text = path.read_text()
    path.write_text(text.replace('"2.13.0"', '"2.14.0"'))
    assert main(["verify", str(path), str(tmp_path / "report.jsonl")]) == 1
    assert "versions is {'torch': '2.14.0'}, but the report says" in capsys.readouterr().err
    path.write_text(text)
    with (tmp_path / "report.jsonl").open("a") as file:
        file.write("")
    assert main(["verify", str(path), str(tmp_path)]) == 0
    written(tmp_path, Result("SPLIT-001", "other", Status.PASS))
    assert main(["verify", str(path), str(tmp_path)]) == 1
    assert "report is 'sha256:" in capsys.readouterr().err
    path.write_text("{}")
    assert main(["verify", str(path), str(tmp_path)]) == 2
    assert "is not a certificate" in capsys.readouterr().err


def test_a_report_of_an_unknown_level_has_no_level_result(tmp_path: Path) -> None:
    """A report of a later release can still be read."""
    report = written(tmp_path, level="2099.01", level_digest="sha256:0")
    assert level_result(report.header, report.results) is None
    assert requirements_of(report.header, SPEC) == SPEC


def test_run_judges_a_level(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The header has the level, and the last line of the verdict names it and torch."""
    run = ["run", "--level", LEVEL.name, "--id", "RANGE-003", "--jobs", "1", "--out", str(tmp_path)]
    assert main(run) == 0
    report = read_report(tmp_path / "report.jsonl")
    assert report.header["level_digest"] == LEVEL.digest
    assert {each.id for each in report.results} == {"RANGE-003"}
    told = capsys.readouterr().out
    assert f"level {LEVEL.name} on torch" in told
    assert "no certificate: not judged" in told


def test_an_unknown_level_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    """The message lists the levels."""
    assert main(["run", "--level", "1999.01"]) == 2
    assert f"levels are {LEVEL.name}" in capsys.readouterr().err
    assert main(["list", "--levels"]) == 0
    assert LEVEL.digest in capsys.readouterr().out
