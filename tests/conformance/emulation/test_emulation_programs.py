"""Random programs: captured, and replayed three times with new values, they equal eager."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterable
from typing import Any

import pytest
import torch
from piecewise_conformance.emulation import emulate
from piecewise_fixtures import ops as _ops  # noqa: F401  (registers the ops)
from torch import Tensor

# How many programs; `nox -s programs` takes 5,000.
PROGRAMS = int(os.environ.get("PIECEWISE_PROGRAMS", "200"))
BATCH = 50

# Each makes values of a value, of another one of the same shape, and of a random number from 0 to
# 7. Values are matrices; results that are none are left out.
Step = Callable[[Tensor, Tensor, int], Any]
STEPS: dict[str, Step] = {
    "sin": lambda a, b, n: a.sin(),
    "affine": lambda a, b, n: a * 0.5 + n,
    "add": lambda a, b, n: a + b,
    "product": lambda a, b, n: a @ b.t(),
    "transposed": lambda a, b, n: a.t(),
    "rows": lambda a, b, n: a[n % a.shape[0] :],
    "columns": lambda a, b, n: a[:, :: 1 + n % 3],
    "flat": lambda a, b, n: a.reshape(1, -1),
    "strided": lambda a, b, n: a.as_strided((2, 2), (1, 1)),
    "expanded": lambda a, b, n: a[:1].expand(3, -1),
    "select": lambda a, b, n: a.index_select(0, torch.arange(a.shape[0]).flip(0)),
    "gathered": lambda a, b, n: a.gather(1, b.argsort(dim=1)),
    "filled": lambda a, b, n: a.masked_fill(b > n / 8, 1.0),
    "chosen": lambda a, b, n: torch.where(a > b, a, b),
    "stacked": lambda a, b, n: torch.cat([a, b], dim=n % 2),
    "half": lambda a, b, n: a.half().float(),
    "whole numbers": lambda a, b, n: (a * 3).long().float(),
    "softmax": lambda a, b, n: a.softmax(dim=n % 2),
    "summed up": lambda a, b, n: a.cumsum(dim=n % 2).tanh(),
    "extremes": lambda a, b, n: torch.max(a, dim=1, keepdim=True)[0],
    "both extremes": lambda a, b, n: tuple(torch.aminmax(a, dim=1, keepdim=True)),
    "chunks": lambda a, b, n: torch.chunk(a, 2, dim=1),
    "sorted": lambda a, b, n: torch.sort(a, dim=n % 2)[0],
    "moments": lambda a, b, n: torch.var_mean(a, dim=1, keepdim=True, correction=0),
    "foreach": lambda a, b, n: torch._foreach_mul([a, b], 0.5),
    "out": lambda a, b, n: torch.add(a, b, out=torch.empty_like(a)),
    "out that grows": lambda a, b, n: torch.mul(a, b, out=torch.empty(0)),
    "written": lambda a, b, n: torch.empty_like(a).copy_(b),
    "zeros": lambda a, b, n: torch.zeros_like(a).index_add_(0, torch.arange(a.shape[0]), b),
    "in place": lambda a, b, n: a.mul_(0.5),
    "in place by another": lambda a, b, n: a.sub_(b),
    "row written": lambda a, b, n: [a[n % a.shape[0]].copy_(b[0])][1:],
    "relu": lambda a, b, n: torch.relu_(a),
    "random": lambda a, b, n: torch.rand_like(a),
    "dropped out": lambda a, b, n: torch.nn.functional.dropout(a, 0.5, training=True),
    "made random": lambda a, b, n: a.uniform_(),
    "custom": lambda a, b, n: torch.ops.piecewise.scaled(a * 0.1),
    "custom in place": lambda a, b, n: torch.ops.piecewise.bump_(a),
    "custom into another": lambda a, b, n: torch.ops.piecewise.scale_(a * 0.1, b),
    "custom with two": lambda a, b, n: torch.ops.piecewise.halves(a),
    "custom with a list": lambda a, b, n: torch.ops.piecewise.parts(a),
}
Program = list[tuple[str, int, int, int]]  # the step, its values by position, its number


def inputs(seed: int) -> list[Tensor]:
    """Two matrices of one shape."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(4, 6, generator=generator) for _ in range(2)]


def run(program: Program, given: list[Tensor]) -> list[Tensor]:
    """The inputs, and all values that the steps of ``program`` make."""
    values = list(given)
    for name, first, second, number in program:
        values += _matrices(STEPS[name](values[first], values[second], number))
    return values


def _matrices(found: Any) -> Iterable[Tensor]:
    several = found if isinstance(found, (tuple, list)) else [found]
    return [each for each in several if isinstance(each, Tensor) and each.dim() == 2]


def make(seed: int) -> Program:
    """A program of 3 to 14 steps that eager runs; steps that torch refuses are left out."""
    chosen = random.Random(seed)
    program: Program = []
    values = inputs(seed)
    for _ in range(chosen.randrange(3, 15)):
        name = chosen.choice(list(STEPS))
        first = chosen.randrange(len(values))
        alike = [i for i, each in enumerate(values) if each.shape == values[first].shape]
        step = (name, first, chosen.choice(alike), chosen.randrange(8))
        try:
            values = run([*program, step], inputs(seed))
        except (RuntimeError, IndexError, ValueError):
            continue  # such as a write to an expanded row
        program.append(step)
    return program


def check(seed: int) -> None:
    """Capture the program of ``seed``, and replay it with new values in the same inputs."""
    program = make(seed)
    with emulate():
        own, graph = inputs(seed), torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            got = run(program, own)
        for replay in range(3):
            fresh = inputs(1000 * seed + replay)
            for each, value in zip(own, fresh, strict=True):
                each.copy_(value)
            torch.manual_seed(replay)
            expected = run(program, fresh)
            torch.manual_seed(replay)
            graph.replay()
            for position, (want, have) in enumerate(zip(expected, got, strict=True)):
                same = torch.equal(want.nan_to_num(7.5), have.nan_to_num(7.5))
                assert same, f"value {position} in replay {replay} of program {seed}: {program}"
                assert want.stride() == have.stride()


@pytest.mark.filterwarnings("ignore:The CUDA Graph is empty", "ignore:var_mean")  # of no rows
@pytest.mark.parametrize("first", range(0, PROGRAMS, BATCH))
def test_random_programs(first: int) -> None:
    """Fifty of them in a test."""
    for seed in range(first, min(first + BATCH, PROGRAMS)):
        check(seed)


def test_the_programs_have_all_steps() -> None:
    """Among those of one test each step occurs: none is refused each time."""
    found = {name for seed in range(2 * BATCH) for name, *_ in make(seed)}
    assert found == set(STEPS)
