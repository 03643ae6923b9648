"""How inputs lie in memory, in the text of a failure."""

from __future__ import annotations

import pytest
import torch
from piecewise_conformance.core.options import Options
from piecewise_conformance.core.verdict import Violation
from piecewise_conformance.subject.subject import Subject
from piecewise_conformance.testkit.drive import Driven
from piecewise_conformance.testkit.generated.layout import layout, with_layout
from piecewise_fixtures.programs import PROGRAMS


def test_each_input_has_a_line() -> None:
    """With strides, offset, and whose memory it shares."""
    whole = torch.zeros(6, 8)
    text = layout([whole, whole[1:, ::2], torch.ones(2), 3], "for 6 tokens")
    assert text.splitlines() == [
        "# inputs for 6 tokens:",
        "#   0: float32[6, 8] stride (8, 1) offset 0",
        "#   1: float32[5, 4] stride (8, 2) offset 8, not contiguous, shares the memory of 0",
        "#   2: float32[2] stride (1,) offset 0",
        "#   3: 3",
    ]


def test_what_has_no_strides() -> None:
    """Is named by its layout; memory that is empty is not shared."""
    sparse = torch.eye(2).to_sparse()
    text = layout([sparse, torch.zeros(0), torch.zeros(0)])
    assert "sparse_coo" in text
    assert "shares" not in text


def test_the_program_of_a_failure_has_the_layout_of_its_inputs() -> None:
    """As a comment behind the program."""

    def wrong(graph: torch.fx.GraphModule, example_inputs: object) -> object:
        return lambda *args: tuple(each + 1 for each in graph(*args))

    program = next(iter(PROGRAMS.values()))
    driven = Driven(Subject("s", "s", {"make_backend": wrong}), program, Options(), wrong)
    size = program.sizes[0]
    with pytest.raises(Violation) as caught:
        driven.check(size)
    shown = with_layout(program.source(), program.inputs(size), f"for {size} tokens")
    assert caught.value.program == shown
