"""HASH: what tracing knows of sizes is part of the key."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from piecewise_conformance.core.marks import requirement
from piecewise_conformance.subject.subject import Subject
from piecewise_conformance.testkit import spy
from piecewise_conformance.testkit.caches.managers import RANGE, expect_work, manager
from piecewise_conformance.testkit.pieces import PieceCase, times
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils._sympy.value_ranges import ValueRanges


def _shape_env(case: PieceCase) -> Any:
    (mode,) = {each.fake_mode for each in case.traced if isinstance(each, FakeTensor)}
    return mode.shape_env


def _bounded(lower: int, upper: int) -> Callable[[PieceCase], None]:
    """As by ``mark_dynamic(..., min=lower, max=upper)``."""

    def bound(case: PieceCase) -> None:
        env = _shape_env(case)
        for symbol in case.traced[0].node.expr.free_symbols:
            env.var_to_range[symbol] = ValueRanges(lower, upper)

    return bound


def _divided_by(number: int) -> Callable[[PieceCase], None]:
    """As by a model that checks it, or that took a branch on it."""

    def divide(case: PieceCase) -> None:
        assert case.traced[0] % number == 0

    return divide


FACTS: dict[str, tuple[Callable[[PieceCase], None], Callable[[PieceCase], None]]] = {
    "upper-bound": (_bounded(2, 64), _bounded(2, 1 << 40)),
    "lower-bound": (_bounded(2, 64), _bounded(0, 64)),
    "divisor": (_divided_by(2), _divided_by(3)),
    "divisor-or-none": (_divided_by(2), _bounded(2, 64)),
}


def _start(subject: Subject, folder: Path, know: Callable[[PieceCase], None]) -> spy.Log:
    case = times(2)
    know(case)
    with spy.spying() as log:
        own = manager(subject, folder)
        case.check(own.compile(case.gm, case.traced, RANGE))
        own.save()
    return log


@requirement("HASH-014")
@pytest.mark.parametrize("name", FACTS)
def test_what_is_known_of_a_size(subject: Subject, tmp_path: Path, name: str) -> None:
    """Two starts with one graph and other bounds, or another divisor, of its batch size: the second
    compiles; a start that knows what the first or the second knew loads.
    """
    first, second = FACTS[name]
    for know, work, what in (
        (first, {"loads": 0, "compiles": 1}, "a first start"),
        (first, {"loads": 1, "compiles": 0}, "a second start that knows the same"),
        (second, {"loads": 0, "compiles": 1}, f"a start that knows something else: {name}"),
        (second, {"loads": 1, "compiles": 0}, "a start that knows the same as the one before"),
    ):
        expect_work(_start(subject, tmp_path, know), **work, what=what)
