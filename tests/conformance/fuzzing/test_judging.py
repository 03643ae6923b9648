"""What judging a program leaves behind: nothing that the next one would notice."""

from __future__ import annotations

import torch
from piecewise_conformance.fuzzing.judging import judge
from piecewise_conformance.fuzzing.properties import DIRECT, Property
from piecewise_conformance.testkit.generated.programs import Drawn
from piecewise_fixtures.generated import seeded


def test_a_region_that_was_left_open_is_closed() -> None:
    """A graph that fails inside of a region of autocast never leaves it; the judge does."""

    def check(subject: object, name: object) -> None:
        torch.amp.autocast_mode._enter_autocast("cpu", torch.bfloat16, True, False)
        raise ValueError("in the middle of a region")

    asked = Property("SPLIT-001", "left_open", DIRECT, check)
    judge(None, Drawn(seeded("judging")), [asked])  # type: ignore[arg-type]  # nobody asks it
    assert not torch.is_autocast_enabled("cpu")
    assert torch.ones(2, 2).mm(torch.ones(2, 2)).dtype is torch.float32
