"""CROSS: modes of a backend in combination."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from piecewise_conformance.core.marks import needs, requirement, slow
from piecewise_conformance.subject.subject import Subject
from piecewise_conformance.testkit.crosses.judging import judge
from piecewise_conformance.testkit.crosses.modes import Cross, plan

# Two values of modes together, or as many as ``nox -s crosses`` asks for.
PLAN = plan(int(os.environ.get("PIECEWISE_CROSSES", "2")))


def _named(crosses: list[Cross]) -> list[object]:
    return [pytest.param(each, id=str(each)) for each in crosses]


@requirement("CROSS-001")
@slow  # so that the kill matrix does not ask it of every mutant: any fault of a mode fails it
@pytest.mark.parametrize("cross", _named([each for each in PLAN if not each.uses_inductor]))
def test_modes(subject: Subject, device: str, tmp_path: Path, cross: Cross) -> None:
    """A model that writes an input and returns views, compiled and called in the modes named."""
    judge(subject, device, cross, tmp_path)


@requirement("CROSS-001")
@slow
@needs("inductor")
@pytest.mark.parametrize("cross", _named([each for each in PLAN if each.uses_inductor]))
def test_modes_with_inductor(subject: Subject, device: str, tmp_path: Path, cross: Cross) -> None:
    """So with Inductor for a compiler."""
    judge(subject, device, cross, tmp_path)
