"""The programs of the search: captured, and replayed three times with new values, they equal eager.

Programs that ask the host for a value cannot be captured; they are refused, and not counted.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from piecewise_conformance.emulation import HostSync, emulate
from piecewise_conformance.testkit.generated.programs import CONTEXT
from piecewise_fixtures.forward_context import set_forward_context
from piecewise_fixtures.generated import (
    SIZES,
    Program,
    arguments,
    as_module,
    features_of,
    forget,
    seeded,
)
from torch import Tensor

# How many programs are captured; `nox -s programs` takes 5,000.
PROGRAMS = int(os.environ.get("PIECEWISE_PROGRAMS", "500"))
BATCH = 100
REPLAYS = 3
_ASKS_THE_HOST = {"cond", "op-without-output"}  # the branch to take, and the sum that is logged


def check(program: Program, n: int) -> None:
    """Capture ``program`` for n tokens, and replay it with new values in the same places.

    Raises HostSync where a capture is refused.
    """
    captured, plain = as_module(program), as_module(program)
    try:
        with set_forward_context(CONTEXT), torch.no_grad(), emulate():
            plain(*arguments(program, n))  # warm, as every user of CUDA graphs makes it
            own, graph = arguments(program, n), torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                got = captured(*own)
            for replay in range(1, 1 + REPLAYS):
                fresh = arguments(program, n, replay)
                ours, theirs = _state(program, captured, own), _state(program, plain, fresh)
                for to, of in zip(ours, theirs, strict=True):
                    _memory(to).copy_(_memory(of))
                expected = plain(*fresh)
                graph.replay()
                _compare((got, ours), (expected, theirs))
    finally:
        forget(type(captured))
        forget(type(plain))


def _state(program: Program, module: Any, inputs: tuple[Any, ...]) -> list[Tensor]:
    """What outlives a call: the tensors of the module, and those that it was called with."""
    attributes = [getattr(module, each.name) for each in program.attributes]
    return [each for each in (*attributes, *inputs) if isinstance(each, Tensor)]


def _memory(tensor: Tensor) -> Tensor:
    """All memory that ``tensor`` lies in, gaps included: a program may write there."""
    memory = tensor.untyped_storage()
    count = memory.nbytes() // tensor.element_size()
    return torch.empty(0, dtype=tensor.dtype).set_(memory, 0, (count,), (1,))


def _compare(ours: Any, theirs: Any) -> None:
    have, structure = torch.utils._pytree.tree_flatten(ours)
    want, wanted = torch.utils._pytree.tree_flatten(theirs)
    assert structure == wanted
    for place, (one, other) in enumerate(zip(have, want, strict=True)):
        if isinstance(other, Tensor):
            assert (one.dtype, one.stride()) == (other.dtype, other.stride())
            # bit by bit, but any NaN is as good as another
            assert torch.equal(one.nan_to_num(7.5), other.nan_to_num(7.5)), place
        else:
            assert one == other


def drawn(batch: int) -> Iterator[int]:
    """Numbers of programs, without end, others for each batch."""
    number = batch * 1_000_000
    while True:
        yield number
        number += 1


@pytest.mark.filterwarnings("ignore:The CUDA Graph is empty")  # of programs without ops
@pytest.mark.parametrize("batch", range(-(-PROGRAMS // BATCH)))
def test_generated_programs(batch: int) -> None:
    """A hundred of them in a test; refused are only those that ask the host."""
    checked = refused = 0
    numbers = drawn(batch)
    while checked < BATCH:
        number = next(numbers)
        program = seeded(f"emulated:{number}")
        try:
            check(program, SIZES[number % len(SIZES)])
            checked += 1
        except HostSync:
            assert features_of(program) & _ASKS_THE_HOST, number
            refused += 1
        except Exception as error:
            error.add_note(f"program {number}")
            raise
    assert refused < checked
