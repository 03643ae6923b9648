"""The function that outlives its process: to bytes and back, with a graph of N layers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from piecewise_reference import (
    CompilationConfig,
    VllmBackend,
    VllmConfig,
    VllmSerializableFunction,
    deserialize_compile_artifacts,
    serialize_compile_artifacts,
)
from torch import nn

from piecewise_benchmarks.measure import LINEAR, timed

LAYERS = (4, 16, 64)


class Layers(nn.Module):
    """``count`` layers, each a product, a splitting op and a sum."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.weights = nn.ParameterList([torch.eye(4) for _ in range(count)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The layers one after another."""
        for weight in self.weights:
            x = torch.sin(x @ weight) + x
        return x


def config() -> VllmConfig:
    chosen = CompilationConfig(backend="eager", splitting_ops=["aten::sin"])
    return VllmConfig(compilation_config=chosen)


def function(layers: int) -> tuple[VllmSerializableFunction, Any]:
    """What the backend returned for the layers, and the model that calls it."""
    torch._dynamo.reset()
    made = []

    def backend(graph: Any, example_inputs: Any) -> Any:
        made.append(VllmBackend(config())(graph, example_inputs))
        return made[0]

    model = torch.compile(Layers(layers).eval(), backend=backend, fullgraph=True)
    model(torch.ones(3, 4))
    return made[0], model


@pytest.mark.parametrize("layers", LAYERS)
def test_serialize(benchmark: Any, layers: int) -> None:
    kept, _ = function(layers)
    timed(
        benchmark,
        lambda: serialize_compile_artifacts(kept),
        group="serialize",
        size=layers,
        unit="layer",
        order=LINEAR,
        check=lambda data: check(data, kept),
        rounds=3,
    )


@pytest.mark.parametrize("layers", LAYERS)
def test_load(benchmark: Any, layers: int) -> None:
    kept, _ = function(layers)
    data = serialize_compile_artifacts(kept)
    timed(
        benchmark,
        lambda: deserialize_compile_artifacts(data, config()),
        group="load what was serialized",
        size=layers,
        unit="layer",
        order=LINEAR,
        check=lambda _: check(data, kept),
        rounds=3,
    )


def check(data: bytes, kept: VllmSerializableFunction) -> None:
    again = deserialize_compile_artifacts(data, config())
    args = [
        torch.full([int(size) for size in value.shape], 0.5)
        if isinstance(value, torch.Tensor)
        else 3
        for value in kept.example_inputs
    ]
    assert torch.equal(again(*args)[0], kept(*args)[0])
