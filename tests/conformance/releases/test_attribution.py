"""Known cases of the past, planted in torch, and the layer that each is attributed to."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from piecewise_conformance.releases import layers
from piecewise_conformance.releases.attribution import HIGH, LOW, MEDIUM, attribute, climb
from piecewise_conformance.releases.failures import Signature
from piecewise_conformance.releases.ladder import HOLDS, RUNGS, fails, program_of
from piecewise_conformance.releases.probing import Answer, Probe, ask

PYTHON = Path(sys.executable)
FAULTS = Path(__file__).parent / "faults"
PROGRAM = "x[advanced-index-after-op]"

# The fault, the probe that shows it, the rung that shows it, the layer that is at fault.
CASES = [
    ("standalone_structure", "standalone-returns-one", layers.INDUCTOR, layers.INDUCTOR),
    ("split_reorders", "split-arguments", layers.FX, layers.FX),
    ("shape_env_method", "shape-env-methods", "", layers.INDUCTOR),
    ("guard_evaluator", "guard-evaluator-on-hit", "", layers.INDUCTOR),
    ("split_to_slices", "functionalized-split", "", layers.AOTAUTOGRAD),
]
HELD = dict.fromkeys(RUNGS, HOLDS)


def moved(layer: str) -> Answer:
    """The answer of a probe of ``layer`` that moved."""
    return Answer(Probe("p", layer, "", {"2.13.0": "a"}), "b", "a", "2.13.0")


@pytest.mark.parametrize(("fault", "probe", "rung", "layer"), CASES, ids=[c[0] for c in CASES])
def test_a_known_case_is_attributed(fault: str, probe: str, rung: str, layer: str) -> None:
    """The fault moves its probe, and no rung below its own."""
    patch = FAULTS / f"{fault}.py"
    answers = ask(PYTHON, "2.13.0", ["split-returns", probe], patch=patch)
    found = [each for each in answers if each.moved]
    assert [each.probe.name for each in found] == [probe], answers
    rungs = HELD
    if rung:
        asked = [layers.DYNAMO, *([layers.FX] if rung != layers.FX else []), rung]
        rungs = climb(PYTHON, PROGRAM, patch=patch, rungs=asked)
        assert [each for each in asked if fails(rungs[each])] == [rung], rungs
    attributed = attribute(rungs, HELD, found)
    assert (attributed.layer, attributed.confidence) == (layer, HIGH if rung else MEDIUM)


def test_every_rung_holds_on_this_torch() -> None:
    """Without a fault the program runs right with each layer replaced."""
    assert climb(PYTHON, PROGRAM) == HELD


def test_the_program_of_a_case_is_found() -> None:
    """By the longest name in the brackets of the case."""
    assert program_of("tensor_indexing_stays[advanced-index-after-op]") == "advanced-index-after-op"
    assert program_of("tensor_indexing_stays[advanced-index-after-op-6]") != ""
    assert program_of("ranges_are_hashable") == ""


def failing(*rungs: str) -> dict[str, str]:
    """Answers in which ``rungs`` fail."""
    return {**HELD, **dict.fromkeys(rungs, "fails: wrong")}


def test_the_lowest_rung_that_moved_decides() -> None:
    """Higher rungs contain the layer; a rung that fails on both torches has not moved."""
    new = failing(layers.AOTAUTOGRAD, layers.INDUCTOR, layers.SUBJECT)
    assert attribute(new, HELD).layer == layers.AOTAUTOGRAD
    assert attribute(new, failing(layers.AOTAUTOGRAD)).layer == layers.INDUCTOR


def test_what_agrees_is_surer() -> None:
    """A probe or a frame of the same layer raises the confidence."""
    new = failing(layers.INDUCTOR, layers.SUBJECT)
    frame = Signature("X-001", "KeyError", "torch/_inductor/graph.py run")
    assert attribute(new, HELD).confidence == MEDIUM
    assert attribute(new, HELD, [moved(layers.INDUCTOR)]).confidence == HIGH
    assert attribute(new, HELD, [], frame).confidence == HIGH


def test_without_a_rung_the_probes_and_the_frame_decide() -> None:
    """A subject that fails while torch's own rungs hold leans on what a probe shows."""
    only_subject = failing(layers.SUBJECT)
    assert attribute(only_subject, HELD).layer == layers.SUBJECT
    by_probe = attribute(only_subject, HELD, [moved(layers.FX)])
    assert (by_probe.layer, by_probe.confidence) == (layers.FX, MEDIUM)
    frame = Signature("X-001", "KeyError", "torch/_dynamo/guards.py build")
    by_frame = attribute({}, {}, [], frame)
    assert (by_frame.layer, by_frame.confidence) == (layers.DYNAMO, LOW)
    assert attribute({}, {}).layer == layers.UNKNOWN
