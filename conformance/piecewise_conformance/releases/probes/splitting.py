"""How ``split_module`` cuts a graph."""

from __future__ import annotations

from typing import Any

import torch
import torch.fx.passes.split_module as splitter
from torch import fx, nn

from .compiling import structure
from .registry import probe


class _Root(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((4,), 3.0), requires_grad=False)


def _graph() -> fx.GraphModule:
    """Two pieces: the second takes an attribute, a value of the first, and an input."""
    graph = fx.Graph()
    x, y = graph.placeholder("x"), graph.placeholder("y")
    weight = graph.get_attr("weight")
    first = graph.call_function(torch.add, (x, 1))
    scaled = graph.call_function(torch.mul, (first, weight))
    graph.output(graph.call_function(torch.sub, (scaled, y)))
    return fx.GraphModule(_Root(), graph)


def _split(**arguments: Any) -> tuple[fx.GraphModule, fx.GraphModule]:
    root = _graph()

    def piece(node: fx.Node) -> int:
        return 0 if node.target is torch.add else 1

    return root, splitter.split_module(root, root, piece, keep_original_order=True, **arguments)


def _first(split: fx.GraphModule) -> Any:
    return split.submod_0


@probe("split-placeholders-first")
def placeholders_first() -> str:
    """Whether placeholders stand before attributes in the graph over all pieces."""
    _, split = _split()
    ops = [each.op for each in split.graph.nodes]
    last = max(at for at, op in enumerate(ops) if op == "placeholder")
    attributes = [at for at, op in enumerate(ops) if op == "get_attr"]
    if not attributes:
        return "no attributes"
    return "placeholders first" if last < min(attributes) else "mixed"


@probe("split-arguments")
def arguments() -> str:
    """What the second piece is called with, in this order."""
    _, split = _split()
    calls = [each for each in split.graph.nodes if each.op == "call_module"]
    return ", ".join(str(each) for each in calls[1].args)


@probe("split-values")
def values() -> str:
    """Whether the pieces together return what the graph returned."""
    root, split = _split()
    x, y = torch.arange(4.0), torch.full((4,), 2.0)
    return "equal" if torch.equal(root(x, y), split(x, y)) else "different"


@probe("split-returns")
def returns() -> str:
    """The structure that a piece with one output returns."""
    _, split = _split()
    return structure(_first(split)(torch.arange(4.0)))


@probe("split-tuple-return")
def tuple_return() -> str:
    """The same with ``tuple_return=True``."""
    _, split = _split(tuple_return=True)
    return structure(_first(split)(torch.arange(4.0)))
