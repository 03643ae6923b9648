"""Probes: the table, the processes that run them, and what they answer on this torch."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from piecewise_conformance.cli.main import main
from piecewise_conformance.releases import layers, probing, processes
from piecewise_conformance.releases.probes import child
from piecewise_conformance.releases.probes.registry import PROBES
from piecewise_conformance.releases.probing import Answer, Probe
from piecewise_conformance.releases.sources import SourceError, describe

PYTHON = Path(sys.executable)
LAYERS = (layers.DYNAMO, layers.FX, layers.AOTAUTOGRAD, layers.INDUCTOR)


def test_the_table_and_the_probes_agree() -> None:
    """Each probe has an entry in the table, in the same order, and each entry a probe."""
    for module in child._MODULES:
        importlib.import_module(f"piecewise_conformance.releases.probes.{module}")
    assert list(probing.probes()) == list(PROBES)
    for name, each in probing.probes().items():
        assert each.layer in LAYERS
        assert each.about == " ".join((PROBES[name].__doc__ or "").split())
        assert set(each.expected) <= set(probing.versions_run())


def test_an_answer_holds_until_the_next_version() -> None:
    """Local parts and nightlies count as their release; the oldest answer holds before that."""
    probe = Probe("p", layers.FX, "", {"2.13.0": "a", "2.15.0": "b"})
    expected = {
        "2.12.1": ("a", "2.13.0"),
        "2.13.0+cpu": ("a", "2.13.0"),
        "2.14.1": ("a", "2.13.0"),
        "2.15.0.dev20260901+cpu": ("b", "2.15.0"),
        "2.16.0": ("b", "2.15.0"),
    }
    assert {version: probe.answer_for(version) for version in expected} == expected


def test_no_answer_is_no_move() -> None:
    """A probe that had no end, or whose process died, is inconclusive."""
    probe = Probe("p", layers.FX, "", {"2.13.0": "a"})
    states = {
        got: (answer.moved, answer.inconclusive)
        for got in ("a", "b", processes.TIMEOUT, "no answer: exit status -11, x")
        for answer in [Answer(probe, got, "a", "2.13.0")]
    }
    assert list(states.values()) == [(False, False), (True, False), (False, True), (False, True)]


def test_a_process_that_dies_costs_one_probe(tmp_path: Path) -> None:
    """The probes after one that ends the process are asked by another process."""
    patch = tmp_path / "patch.py"
    patch.write_text(
        "import os\nfrom probes.registry import PROBES\n"
        "PROBES['split-values'] = lambda: os._exit(7)\n"
        "PROBES['split-returns'] = lambda: 1 / 0\n"
    )
    names = ["split-arguments", "split-values", "split-returns"]
    found = {e.probe.name: e.got for e in probing.ask(PYTHON, "2.13.0", names, patch=patch)}
    assert found["split-arguments"] == "submod_0, weight, y"
    assert found["split-values"].startswith("no answer: exit status 7")
    assert found["split-returns"] == "raises ZeroDivisionError: division by zero"


def test_a_process_that_hangs_costs_one_probe(tmp_path: Path) -> None:
    """A process without a line for too long is ended, and the others are asked by the next."""
    script = tmp_path / "python"
    script.write_text('#!/bin/sh\necho \'{"begin": "split-values"}\'\nexec tail -f /dev/null\n')
    script.chmod(0o755)
    (answer,) = probing.ask(script, "2.13.0", ["split-values"], silence=0.5)
    assert (answer.got, answer.inconclusive) == (processes.TIMEOUT, True)


def test_this_torch_answers_as_expected() -> None:
    """Every probe, on a version of torch that the expectations were run on."""
    if torch.__version__.partition("+")[0] not in probing.versions_run():
        pytest.skip(f"the probes were not run on torch {torch.__version__} yet")
    found = probing.ask(PYTHON, torch.__version__)
    assert {each.probe.name: each.got for each in found if each.got != each.expected} == {}


def test_an_interpreter_without_torch_is_a_usage_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message names the interpreter."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "e"], check=True)
    python = tmp_path / "e" / "bin" / "python"
    with pytest.raises(SourceError, match="cannot import torch: ModuleNotFoundError"):
        describe(python)
    with pytest.raises(SourceError, match="does not run"):
        describe(tmp_path / "nothing")
    assert main(["probes", "--python", str(python)]) == 2
    assert "cannot import torch" in capsys.readouterr().err


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    """The command prints a line for each probe that it was asked for."""
    assert main(["probes", "split-arguments"]) == 0
    assert "split-arguments                as expected   submod_0" in capsys.readouterr().out
    assert main(["probes", "nonsense"]) == 2
    assert "no probe 'nonsense'" in capsys.readouterr().err
