"""Which pieces write into memory that they were given twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from piecewise_reference.compilers.inductor.shared_writes import writes_shared_memory
from torch import Tensor, fx, nn

X = torch.arange(32.0).view(4, 8)


def _in_a_buffer(a: Tensor, b: Tensor) -> Any:
    return (a + b).add_(1), a


@pytest.mark.parametrize(
    ("function", "inputs", "writes"),
    [
        pytest.param(lambda a, b: (a + 1, b), (X, X[1:]), False, id="reads"),
        pytest.param(lambda a, b: (a.mul_(2), b), (X, X.clone()), False, id="memory-of-its-own"),
        pytest.param(_in_a_buffer, (X, X), False, id="a-value-of-its-own"),
        pytest.param(lambda a, b: (a.mul_(2), b), (X, X.view(-1, 4)), True, id="base"),
        pytest.param(lambda a, b: (b.mul_(2), a), (X, X[1:]), True, id="view"),
        pytest.param(lambda a, b: (a.view(-1).add_(2), b), (X, X[1:]), True, id="view-inside"),
        pytest.param(lambda a, b: torch.relu_(a), (X, X.detach()), True, id="function"),
        pytest.param(lambda a, b: torch.add(b, 1, out=a), (X, X), True, id="out"),
        pytest.param(lambda a, b: a.add_(1), (nn.Parameter(X), X), True, id="parameter"),
    ],
)
def test_writes_are_seen(function: Callable[..., Any], inputs: Any, writes: bool) -> None:
    """Writes into memory of both inputs are seen, no others are, and nothing is written."""
    parameter = any(each.requires_grad for each in inputs)
    before = [each.detach().clone() for each in inputs]
    with torch.set_grad_enabled(not parameter):
        assert writes_shared_memory(fx.symbolic_trace(function), inputs) is writes
        assert torch.is_grad_enabled() is not parameter
    assert all(torch.equal(a, b) for a, b in zip(inputs, before, strict=True))


def test_metadata_stays() -> None:
    """A graph that transposes an input in place leaves the input as it was."""
    graph = fx.symbolic_trace(lambda a, b: (a.t_().mul_(2), b))
    assert writes_shared_memory(graph, (X, X))
    assert X.shape == (4, 8)


def test_attributes_are_read() -> None:
    """A graph may hold tensors, which are real ones."""

    class Holder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("held", torch.ones(8))
            self.held: Tensor

        def forward(self, a: Tensor, b: Tensor) -> Any:
            return a.add_(self.held), b

    assert writes_shared_memory(fx.symbolic_trace(Holder()), (X, X[1:]))
    assert X[0, 1] == 1


def test_inference_tensors() -> None:
    """Inference tensors count no writes: all of them may be written."""
    with torch.inference_mode():
        x = torch.ones(4)
        assert writes_shared_memory(fx.symbolic_trace(lambda a, b: a + b), (x, x[:4]))
