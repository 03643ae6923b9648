"""Graphs of any size for splitting and stitching: made by hand, each node with a traced value."""

from __future__ import annotations

import operator
from collections.abc import Callable

import torch
from torch import Tensor, fx

SPLITTING_OPS = ["aten::sin"]
"""What stands for attention: an op that no other part of these graphs calls."""

_SPLIT = torch.ops.aten.sin.default


def llama_like(nodes: int) -> fx.GraphModule:
    """Layers of 100 nodes, one of them attention, each of which reads five weights of its own.

    Weights are inputs of the graph, as Dynamo makes them: a twentieth of the nodes.
    """
    graph = fx.Graph()
    example = torch.empty(4, device="meta")
    layers = max(1, nodes // 100)
    x = graph.placeholder("x")
    weights = [graph.placeholder(f"weight_{i}") for i in range(5 * layers)]
    current = x
    for layer in range(layers):
        residual = current
        own = weights[5 * layer : 5 * layer + 5]
        for step in range(94):
            if step == 47:
                current = graph.call_function(_SPLIT, (current,))
            else:
                other = own[step % 5] if step % 10 == 0 else residual
                current = graph.call_function(operator.add, (current, other))
    return _finish(graph, current, example)


def many_tiny_pieces(nodes: int) -> fx.GraphModule:
    """Every second node is a splitting op: pieces of one node."""
    graph = fx.Graph()
    example = torch.empty(4, device="meta")
    x = current = graph.placeholder("x")
    for step in range(nodes):
        current = (
            graph.call_function(_SPLIT, (current,))
            if step % 2
            else graph.call_function(operator.add, (current, x))
        )
    return _finish(graph, current, example)


def wide(nodes: int) -> fx.GraphModule:
    """Half of the nodes are inputs, all of which cross one splitting op."""
    graph = fx.Graph()
    example = torch.empty(4, device="meta")
    inputs = [graph.placeholder(f"x_{i}") for i in range(max(1, nodes // 2))]
    current = graph.call_function(_SPLIT, (inputs[0],))
    for each in inputs:
        current = graph.call_function(operator.add, (current, each))
    return _finish(graph, current, example)


def _finish(graph: fx.Graph, result: fx.Node, example: Tensor) -> fx.GraphModule:
    for node in graph.nodes:
        node.meta["example_value"] = example
    graph.output((result,)).meta["example_value"] = (example,)
    return fx.GraphModule({}, graph)


SHAPES: dict[str, Callable[[int], fx.GraphModule]] = {
    "llama-like": llama_like,
    "wide": wide,
    "many-tiny-pieces": many_tiny_pieces,
}


def inputs_of(gm: fx.GraphModule) -> list[Tensor]:
    """Real inputs, small enough for sums over 100,000 nodes to stay finite."""
    count = len(gm.graph.find_nodes(op="placeholder"))
    return [torch.full((4,), 1e-3) for _ in range(count)]
