"""NUM: with Inductor, models that write a tensor from its own elements, or that they have read.

Inductor drops copies that it takes for superfluous, and then orders reads and writes of one memory.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest
import torch
from piecewise_conformance.core.marks import needs, requirement, slow
from piecewise_conformance.subject.subject import Subject
from piecewise_conformance.testkit.drive import drive
from piecewise_fixtures.programs import Program, program


@torch.library.custom_op("piecewise_suite::add_rows", mutates_args=("to",))
def add_rows(to: torch.Tensor, other: torch.Tensor) -> None:
    """Each row of ``to`` gets the row of ``other`` before it added, one row after the other."""
    for row in range(1, to.shape[0]):
        to[row] += other[row - 1]


@add_rows.register_fake
def _(to: torch.Tensor, other: torch.Tensor) -> None:
    return None


def _shift_down(x: torch.Tensor) -> torch.Tensor:
    x[1:] = x[:-1].clone()
    return x * 2


def _shift_up(x: torch.Tensor) -> torch.Tensor:
    x[:-1] = x[1:].clone()
    return x * 2


def _shift_columns(x: torch.Tensor) -> torch.Tensor:
    x[:, 1:] = x[:, :-1].clone()
    return x + 1


def _shift_own(x: torch.Tensor) -> torch.Tensor:
    y = x + 1
    y[1:] = y[:-1].clone()
    return y


def _flip_own(x: torch.Tensor) -> torch.Tensor:
    y = x * 2
    return y.add_(y.clone().flip(0))


def _read_then_write(x: torch.Tensor) -> torch.Tensor:
    y = torch.zeros_like(x)
    y[0:] = x[0:]
    x.add_(1)
    return y + x


def _bits_then_write(x: torch.Tensor) -> torch.Tensor:
    y = x.view(torch.int32) * 2
    y.sub_(-4)
    x[:, 2:5] = 2
    return y.view(torch.float32)


def _op_on_a_copy(x: torch.Tensor) -> torch.Tensor:
    y = x.clone()
    torch.ops.piecewise_suite.add_rows(y, x)
    return y


WRITES: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "input-shifted-down": _shift_down,
    "input-shifted-up": _shift_up,
    "input-shifted-along-rows": _shift_columns,
    "own-tensor-shifted": _shift_own,
    "own-tensor-flipped": _flip_own,
    "input-read-then-written": _read_then_write,
    "bits-read-then-written": _bits_then_write,
    "op-on-a-copy": _op_on_a_copy,
}


@cache
def _model(name: str) -> Program:
    class Writes(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.ops.piecewise.scaled(WRITES[name](x)) + 1

    base = program("linear-chain")
    return Program(
        name, "", Writes, base.inputs, base.splitting_ops, base.sizes, base.dynamic, frozenset()
    )


@requirement("NUM-010")
@slow
@needs("inductor")
@pytest.mark.parametrize("name", WRITES)
def test_writes_from_own_elements(subject: Subject, name: str) -> None:
    """The result, and the input that is written, at two sizes."""
    driven = drive(subject, _model(name), compiler="inductor")
    for size in (6, 9):
        driven.check(size)
