"""The command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from piecewise_conformance.cli.main import main
from piecewise_conformance.core.requirements import load
from piecewise_conformance.core.verdict import Status
from piecewise_conformance.reporting.report import ReportWriter, Result, read_report


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    """One line for each requirement, with its level and its consequence."""
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(load())
    assert [each.split()[:3] for each in lines] == [
        [each.id, each.level, each.consequence] for each in load().values()
    ]


def test_list_of_a_family(capsys: pytest.CaptureFixture[str]) -> None:
    """Only its requirements; an unknown one is a usage error."""
    assert main(["list", "--family", "split"]) == 0
    assert all(line.startswith("SPLIT-") for line in capsys.readouterr().out.splitlines())
    assert main(["list", "--family", "SPLT"]) == 2
    assert "did you mean SPLIT?" in capsys.readouterr().err


def test_explain(capsys: pytest.CaptureFixture[str]) -> None:
    """Sentence, reason and tests."""
    assert main(["explain", "SPLIT-001"]) == 0
    said = capsys.readouterr().out
    assert "Consequence of a violation: wrong-result" in said
    assert "Why:" in said
    assert "test_split.py:" in said


def test_explain_what_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    """What may have been meant is told."""
    assert main(["explain", "SPLT-001"]) == 2
    assert "SPLIT-001" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [["run", "--jobs", "0"], ["run", "--timeout", "nan"], ["run", "--profile", "x"], [], ["x"]],
)
def test_wrong_usage(arguments: list[str]) -> None:
    """Exit status 2."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2


def test_wrong_keyword(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Told before anything is run."""
    assert main(["run", "-k", "a and (", "--out", str(tmp_path / "out")]) == 2
    assert "error: -k" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["--id", "SPLIT-999"], "unknown requirement 'SPLIT-999'; SPLIT has SPLIT-001 to SPLIT-0"),
        (["--id", "SPLT-001"], "did you mean SPLIT-0"),
        (["--id", "ZZZZ-1"], "families are BACKEND, CACHE"),
        (["--family", "SPLT"], "did you mean SPLIT?"),
        (["-k", "SPLIT-999 and x"], "SPLIT has SPLIT-001"),
        (["--failed", "--resume"], "cannot be combined with --resume"),
        (["--failed"], "cannot be read"),
    ],
)
def test_what_is_not_there_is_told(
    given: list[str], says: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Exit status 2 and what there is, before anything is run."""
    assert main(["run", *given, "--out", str(tmp_path / "out")]) == 2
    assert says in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def a_report(folder: Path, *results: Result) -> None:
    """A report on the reference, in ``folder``."""
    header = {
        "subject": {"name": "reference", "spec": "reference", "version": ""},
        "versions": {},
        "device": "cpu",
        "seed": 0,
        "profiles": ["full"],
        "keyword": "",
    }
    writer = ReportWriter(folder / "report.jsonl")
    writer.start(header)
    for each in results:
        writer.add(each)


def test_what_failed_is_run_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of the report's subject, and nothing else; once it passes, nothing is left to run."""
    failed = Result("RANGE-001", "holds_its_sizes[1-4]", Status.FAIL)
    a_report(tmp_path, failed, Result("RANGE-001", "holds_its_sizes[7-7]", Status.PASS))
    again = ["run", "--failed", "--jobs", "1", "--out", str(tmp_path)]
    assert main([*again, "--family", "SPLIT"]) == 2
    assert "select none of the failures" in capsys.readouterr().err
    assert main(again) == 0
    report = read_report(tmp_path / "report.jsonl")
    assert [each.key for each in report.results] == [failed.key]
    assert "CONFORMANT IN PART (1 of" in capsys.readouterr().out
    assert main(again) == 2
    assert "nothing to run again" in capsys.readouterr().err
