"""Which graphs have equal keys in AOTAutograd's cache."""

from __future__ import annotations

from typing import Any

import torch
from torch import fx
from torch._dynamo.source import ConstantSource
from torch._inductor.standalone_compile import autograd_cache_key
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.symbolic_shapes import (
    DimDynamic,
    ShapeEnv,
    StatelessSymbolicContext,
)

from .compiling import graph_of
from .registry import probe


def _key(graph: fx.GraphModule, inputs: list[Any], dynamic_shapes: str) -> object:
    found = autograd_cache_key(graph, inputs, dynamic_shapes=dynamic_shapes)  # type: ignore[arg-type]
    return found[0] if isinstance(found, tuple) else found


@probe("key-of-bare-output")
def bare_output() -> str:
    """Whether a graph that returns a tensor, not in a tuple, has a key."""
    _key(graph_of(lambda a, b: a), [torch.ones(4)], "from_example_inputs")
    return "has a key"


def _dynamic(source: str) -> object:
    """The key of ``x + size`` where ``source`` decides the name of the symbol."""
    mode = FakeTensorMode(shape_env=ShapeEnv())
    context: Any = StatelessSymbolicContext(dynamic_sizes=[DimDynamic.DYNAMIC, DimDynamic.STATIC])
    x = mode.from_tensor(torch.ones(6, 4), source=ConstantSource(source), symbolic_context=context)
    graph = fx.Graph()
    size, tensor = graph.placeholder("size"), graph.placeholder("tensor")
    added = graph.call_function(torch.add, (tensor, size))
    graph.output((added,))
    size.meta["example_value"], tensor.meta["example_value"] = x.shape[0], x
    with mode:
        added.meta["example_value"] = x + x.shape[0]
    return _key(fx.GraphModule({}, graph), [x.shape[0], x], "from_graph")


@probe("key-of-renamed-symbols")
def renamed_symbols() -> str:
    """Equal graphs whose dynamic sizes have symbols of different names."""
    return "equal" if _dynamic("first") == _dynamic("second") else "different"
