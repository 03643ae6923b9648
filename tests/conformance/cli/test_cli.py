"""The command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from piecewise_conformance.cli.main import main
from piecewise_conformance.core.requirements import load


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    """One line for each requirement."""
    assert main(["list"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(load())


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
