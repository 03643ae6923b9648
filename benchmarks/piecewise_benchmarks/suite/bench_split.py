"""``split_graph``: microseconds a node, and that they stay the same up to 200,000 nodes."""

from __future__ import annotations

import operator
from typing import Any

import pytest
import torch
from torch import fx

from piecewise_benchmarks.graphs import SHAPES, SPLITTING_OPS, inputs_of
from piecewise_benchmarks.measure import LINEAR, timed
from piecewise_benchmarks.peers import measured, subject

SIZES = (1_000, 10_000, 50_000, 200_000)
# pieces are modules, and 100,000 modules are more than a benchmark has time for
LARGEST = {"llama-like": 200_000, "wide": 50_000, "many-tiny-pieces": 10_000}
LARGEST_FOR_PEERS = 10_000  # beyond, a peer takes minutes


def cases() -> list[Any]:
    found = []
    for shape in SHAPES:
        for size in SIZES:
            if size > LARGEST[shape]:
                continue
            for by in measured("split_graph"):
                if by == "reference" or size <= LARGEST_FOR_PEERS:
                    found.append((by, shape, size))
    return [pytest.param(*each, id="-".join(map(str, each))) for each in found]


@pytest.mark.parametrize(("by", "shape", "size"), cases())
def test_split(benchmark: Any, by: str, shape: str, size: int) -> None:
    gm = SHAPES[shape](size)
    nodes = len(gm.graph.nodes)
    split: Any = subject(by).surface["split_graph"]
    splits = sum(node.target is torch.ops.aten.sin.default for node in gm.graph.nodes)

    def check(result: Any) -> None:
        split_gm, items = result
        assert sum(item.is_splitting_graph for item in items) == splits
        ops = sum(
            node.op == "call_function" and node.target is operator.add
            for item in items
            for node in item.graph.graph.nodes
        )
        assert ops == sum(node.target is operator.add for node in gm.graph.nodes)
        if size <= 1_000:
            args = inputs_of(gm)
            assert torch.equal(split_gm(*args)[0], gm(*args)[0])

    timed(
        benchmark,
        lambda: split(gm, SPLITTING_OPS),
        group=f"split {shape}",
        by=by,
        size=nodes,
        unit="node",
        order=LINEAR,
        check=check,
        rounds=5 if size <= 10_000 else 3,
    )


@pytest.mark.parametrize("size", [1_000, 50_000])
def test_limit_create_node(benchmark: Any, size: int) -> None:
    def create() -> fx.Graph:
        graph = fx.Graph()
        x = graph.placeholder("x")
        for _ in range(size - 1):
            x = graph.create_node("call_function", operator.add, (x, x))
        return graph

    def check(graph: fx.Graph) -> None:
        assert len(graph.nodes) == size

    timed(
        benchmark,
        create,
        group="split llama-like",
        by="limit: Graph.create_node",
        size=size,
        unit="node",
        order=LINEAR,
        check=check,
        rounds=5,
    )
