"""CACHE: what a graph holds, weights and graphs, is part of what it is."""

from __future__ import annotations

import operator
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from piecewise_conformance.core.marks import requirement
from piecewise_conformance.core.verdict import Violation
from piecewise_conformance.subject.subject import Subject
from piecewise_conformance.testkit.caches.managers import fill, start
from piecewise_conformance.testkit.pieces import PieceCase, piece
from torch import fx, nn


def _child(child: nn.Module) -> PieceCase:
    root = nn.Module()
    root.add_module("child", child)
    return piece(lambda g, s, x: (g.call_module("child", (x,)),), root=root)


def _layer(value: float) -> nn.Module:
    layer = nn.Linear(8, 8, bias=False).requires_grad_(False)
    layer.weight.fill_(value)
    return layer


class _Table(nn.Module):
    """A module whose weights are computed, and not saved with the model."""

    table: torch.Tensor

    def __init__(self, value: float) -> None:
        super().__init__()
        self.register_buffer("table", torch.full((8,), value), persistent=False)

    def forward(self, x: torch.Tensor) -> Any:
        return x * self.table


class _TwoModes(nn.Module):
    """A module that does something else in training, as dropout does."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 2 if self.training else x * 3


def _graph(function: Any) -> fx.GraphModule:
    graph = fx.Graph()
    graph.output(graph.call_function(function, (graph.placeholder("x"),)))
    return fx.GraphModule(nn.Module(), graph)


def _buffer(value: Any) -> PieceCase:
    root = nn.Module()
    root.register_buffer("number", value)
    return piece(
        lambda g, s, x: (g.call_function(operator.mul, (x, g.get_attr("number"))),), root=root
    )


def _buffer_of_a_child(value: float) -> PieceCase:
    root = nn.Module()
    root.add_module("layer", _Table(value))

    def body(g: fx.Graph, s: Any, x: Any) -> tuple[Any]:
        return (g.call_function(operator.mul, (x, g.get_attr("layer.table"))),)

    return piece(body, root=root)


OTHERS: dict[str, tuple[Callable[[], PieceCase], Callable[[], PieceCase]]] = {
    "weights-of-a-module": (lambda: _child(_layer(1.0)), lambda: _child(_layer(2.0))),
    "table-of-a-module": (lambda: _child(_Table(1.0)), lambda: _child(_Table(2.0))),
    "buffer-of-a-child": (lambda: _buffer_of_a_child(1.0), lambda: _buffer_of_a_child(2.0)),
    "mode-of-a-module": (
        lambda: _child(_TwoModes().train()),
        lambda: _child(_TwoModes().eval()),
    ),
    "graph-in-a-graph": (lambda: _child(_graph(torch.sin)), lambda: _child(_graph(torch.cos))),
    "last-bit-of-a-double": (
        lambda: _buffer(torch.tensor([1.0], dtype=torch.float64)),
        lambda: _buffer(torch.tensor([1.0 + 2**-50], dtype=torch.float64)),
    ),
    "buffer-dtype": (
        lambda: _buffer(torch.tensor([0], dtype=torch.int32)),
        lambda: _buffer(torch.tensor([0.0], dtype=torch.float64)),
    ),
    "buffer-of-bits": (
        lambda: _buffer(torch.tensor(True)),
        lambda: _buffer(torch.tensor(False)),
    ),
    "buffer-shape": (
        lambda: _buffer(torch.ones(1)),
        lambda: _buffer(torch.ones(1, 1, 1)),
    ),
}


@requirement("CACHE-009")
@pytest.mark.parametrize("name", OTHERS)
def test_other_things_in_the_same_graph(subject: Subject, tmp_path: Path, name: str) -> None:
    """The artifact of a graph that holds something else is not used; afterwards both work."""
    first, second = OTHERS[name]
    fill(subject, tmp_path, first())
    if not start(subject, tmp_path, second()).compiles:
        raise Violation(
            "a graph was served by the artifact of another graph",
            expected="a compile",
            got="a load",
            program=f"{first().gm.graph}\n{second().gm.graph}",
        )
    fill(subject, tmp_path, second())
    start(subject, tmp_path, first())
