"""HASH: modes of torch that are in force where a start is traced."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from piecewise_conformance.core.marks import needs, requirement, slow
from piecewise_conformance.subject.subject import Subject
from piecewise_conformance.testkit.capture_cache import settle, with_own_code
from piecewise_conformance.testkit.drive import Driven, options_for
from piecewise_fixtures.programs import program
from piecewise_fixtures.programs.base import Program

_Mode = Callable[[], AbstractContextManager[Any]]


class _LeavesTypesToTorch(torch.nn.Module):
    """Its constants have the type that torch is set to, and its product that of a region."""

    def forward(self, x: torch.Tensor) -> Any:
        y = torch.ops.piecewise.scaled(x + 1)
        return y.t() @ y, torch.ones(3) / 3 + y.sum()


def _program() -> Program:
    base = program("linear-chain")
    chosen = Program(
        "types-of-torch", "", _LeavesTypesToTorch, base.inputs, base.splitting_ops, base.sizes
    )
    return with_own_code(chosen)


@contextmanager
def _float64() -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def _autocast() -> AbstractContextManager[Any]:
    return torch.autocast("cpu", torch.bfloat16)


@requirement("HASH-002")
@slow
@needs("inductor")
@pytest.mark.parametrize("mode", [_float64, _autocast], ids=["default-type", "autocast"])
def test_other_mode_of_torch(subject: Subject, tmp_path: Path, mode: _Mode) -> None:
    """What was compiled without it is not loaded under it, where it computes something else."""
    subject.need("inductor", "cache")
    for traced_in in (nullcontext, mode):
        settle()
        chosen = _program()
        options = options_for(subject, chosen, compiler="inductor", cache_root=str(tmp_path))
        with traced_in():
            Driven(subject, chosen, options, live=True).check(6)
