"""Whose fake mode ``standalone_compile`` uses."""

from __future__ import annotations

import importlib

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx
from torch.fx.experimental.symbolic_shapes import ShapeEnv

from .compiling import graph_of, standalone
from .registry import probe


@probe("standalone-fake-mode")
def given() -> str:
    """Whether a fake mode can be given."""
    mode = FakeTensorMode(shape_env=ShapeEnv())
    graph = graph_of(lambda a, b: (a, b))
    standalone(graph, [torch.ones(4)], fake_mode=mode)(torch.ones(4))
    return "accepted"


@probe("standalone-foreign-fake-mode")
def foreign() -> str:
    """What becomes of example inputs of a fake mode that is not the one in the graph."""
    ours, other = FakeTensorMode(shape_env=ShapeEnv()), FakeTensorMode(shape_env=ShapeEnv())
    graph = graph_of(lambda a, b: (a, b))
    for node in graph.graph.nodes:
        if node.op != "output":
            node.meta["example_value"] = ours.from_tensor(torch.ones(4))
    artifact = standalone(graph, [other.from_tensor(torch.ones(4))], dynamic_shapes="from_graph")
    artifact(torch.ones(4))
    return "compiled"


@probe("standalone-fake-mode-in-val")
def in_val() -> str:
    """Whether the fake mode of a graph of ``make_fx`` is found, which stands in ``meta["val"]``."""
    mode = FakeTensorMode(shape_env=ShapeEnv())
    with mode:
        example = torch.ones(4)
        graph = make_fx(lambda x: (x + 1, x * 2))(example)
    resolve = importlib.import_module("torch._inductor.standalone_compile")._resolve_fake_mode
    return "found" if resolve(graph, "from_graph", None) is mode else "another mode"
