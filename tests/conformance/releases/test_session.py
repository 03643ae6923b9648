"""A session over several torches, its page and its summary, with stand-ins for interpreters."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from piecewise_conformance.cli.main import main
from piecewise_conformance.releases import environments, session, summary
from piecewise_conformance.releases.environments import Installing, label, prepare
from piecewise_conformance.releases.sources import SourceError

ROOT = Path(__file__).parents[3]
Interpreter = Callable[..., Path]

PASSES: list[Any] = [["SPLIT-001", "a[x]", "pass", {}], ["SPLIT-004", "b[y]", "pass", {}]]
BREAKS: list[Any] = [
    [
        "SPLIT-001",
        "a[x]",
        "fail",
        {"message": "the subject raised KeyError: <3>", "program": "p()"},
    ],
    ["SPLIT-004", "b[y]", "pass", {}],
]


def validate(out: Path, *arguments: object) -> int:
    """The command, with the reference as the only subject."""
    given = [*map(str, arguments), "--subjects", "reference", "--out", str(out)]
    return main(["releases", *given])


def test_a_session_names_the_layer_that_moved(interpreter: Interpreter, tmp_path: Path) -> None:
    """A failure that the twin does not have is attributed, and stands on the page."""
    good = interpreter("2.13.0", PASSES)
    new = interpreter(
        "2.15.0",
        BREAKS,
        probes={"split-arguments": "y, weight"},
        rungs={"FX": "fails: wrong", "subject": "fails: wrong"},
        unmatched=["SPLIT-009 * (fail)"],
    )
    out = tmp_path / "out"
    assert validate(out, good, new) == 1
    text = (out / "releases.md").read_text()
    assert "| 2.15.0 | 0.51.2 | not conformant; 1 new |" in text
    assert "### SPLIT-001: KeyError\n\nnew, 1 tests, reference on torch 2.15.0\n" in text
    assert "**FX** (confidence: high)" in text
    assert "Answered `y, weight`, expected `submod_0, weight, y`" in text
    assert "* reference on torch 2.15.0: SPLIT-009 * (fail)" in text
    assert "KeyError: <3>" in text
    html = (out / "releases.html").read_text()
    assert "KeyError: &lt;3&gt;" in html
    assert "://" not in html
    found = tomllib.loads((out / "summary.toml").read_text())
    assert found["newest"] == "2.13.0"
    assert [each["new_failures"] for each in found["run"]] == [0, 1]


def test_a_session_goes_on_where_it_was(interpreter: Interpreter, tmp_path: Path) -> None:
    """A second session runs nothing that is complete, and one with other arguments runs again."""
    good, out = interpreter("2.13.0", PASSES), tmp_path / "out"
    calls = good.parent / "calls"
    assert validate(out, good) == 0
    assert "-m piecewise_conformance run" in calls.read_text()
    calls.write_text("")
    assert validate(out, good) == 0
    assert "-m" not in calls.read_text()
    assert validate(out, good, "--run-args", "--profile smoke") == 0
    assert "-m piecewise_conformance run" in calls.read_text()


def test_what_does_not_run_is_a_row(interpreter: Interpreter, tmp_path: Path) -> None:
    """A torch that cannot be imported, and a run without an end, say why; the others go on."""
    out = tmp_path / "out"
    good = interpreter("2.13.0", PASSES)
    broken = interpreter("2.12.1", broken=True)
    dies = interpreter("2.14.1", PASSES, dies=True)
    assert validate(out, broken, good, dies, "--good", good) == 3
    text = (out / "releases.md").read_text()
    assert "cannot import torch: ImportError: libcuda.so" in text
    assert "| 2.14.1 | 1.41.2 | the run ended with 1: killed |" in text
    assert "| 2.13.0 | 0.31.2 | conformant" in text


def test_a_dead_twin_makes_failures_inconclusive(interpreter: Interpreter, tmp_path: Path) -> None:
    """Nothing is new without a verdict of the good torch."""
    good, new = interpreter("2.13.0", PASSES, dies=True), interpreter("2.15.0", BREAKS)
    assert validate(tmp_path / "out", good, new) == 3
    assert "1 inconclusive" in (tmp_path / "out" / "releases.md").read_text()


@pytest.mark.parametrize(
    ("subject", "spec"),
    [
        ("reference", ("reference", "")),
        ("dynamo:inductor", ("dynamo:inductor", "")),
        ("vllm==0.33.0", ("vllm", "vllm==0.33.0")),
        ("sglang", ("sglang", "sglang")),
        ("my/backend.py:x", ("my/backend.py:x", "")),
    ],
)
def test_subjects(subject: str, spec: tuple[str, str]) -> None:
    """A requirement of a peer is installed, all else is a SPEC."""
    assert session.spec_of(subject) == spec


def test_labels_name_folders(tmp_path: Path, interpreter: Interpreter) -> None:
    """Versions, wheels and interpreters have names that are good for folders."""
    assert label("2.15.0") == "2.15.0"
    assert label("wheels/torch-2.13.0+cpu-cp311.whl") == "torch-2.13.0+cpu-cp311"
    assert label(str(interpreter("2.13.0"))) == "torch-2.13.0"
    assert label("dynamo:inductor") == "dynamo_inductor"


def test_what_pip_refuses_is_said(tmp_path: Path) -> None:
    """A version that there is not cannot be installed; its environment is not taken for ready."""
    how = Installing(tmp_path / "environments", ".", ("--no-index",))
    for _ in range(2):
        with pytest.raises(SourceError, match=r"pip install .*torch==0\.0\.1: ERROR"):
            prepare("0.0.1", "", how)
    environments.prune("0.0.1", how)
    assert list(how.folder.iterdir()) == []


def test_requirements_of_the_project_leave_torch_out() -> None:
    """Extras for a run are included, others and torch are not: that is installed already."""
    listed = ["torch>=2", "pytest", "transformers; extra == 'models'", "x; extra == 'benchmarks'"]
    assert environments._needed(listed) == ["pytest", "transformers"]
    assert environments.requirement_of("nightly") == ["--pre", "torch"]


def run_of(torch: str, verdict: str = "conformant") -> dict[str, Any]:
    """A run of the reference in a summary."""
    return {"torch": torch, "subject": "reference", "verdict": verdict}


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        (">=2.13.0,<2.16", []),
        (">=2.13.0", ["the range admits what comes after 2.15.0"]),
        (">=2.13.0,<2.15", ["2.15.0 works, and is not in the range"]),
        (">=2.12.0,<2.16", ["the lower bound is ['2.12.0']", "2.12.1 is in the range"]),
    ],
)
def test_a_range_is_what_was_shown(declared: str, said: list[str]) -> None:
    """The bounds are those of the runs; candidates and failures show nothing."""
    runs = [
        run_of("2.12.1", "not conformant"),
        run_of("2.13.0+cpu"),
        run_of("2.15.0", "conformant in part"),
        run_of("2.16.0rc1"),
    ]
    found = summary.problems(declared, {"run": runs})
    assert len(found) == len(said)
    for text, beginning in zip(found, said, strict=True):
        assert text.startswith(beginning)


def test_the_declared_range_is_what_the_summary_shows() -> None:
    """``pyproject.toml`` and the committed summary agree on the versions of torch."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (torch,) = [each for each in project["dependencies"] if each.startswith("torch")]
    committed = summary.read(ROOT / "docs" / "releases" / "summary.toml")
    assert summary.problems(torch.removeprefix("torch"), committed) == []
    assert committed["newest"] == str(summary.shown_to_work(committed)[-1])
