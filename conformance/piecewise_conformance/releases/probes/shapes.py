"""How a batch dimension is traced, for each type of dynamic shapes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.fx.experimental._config as shapes_config
from torch import fx

from .registry import probe

_config: Any = shapes_config


def _traced(mark: Callable[[torch.Tensor, int], object]) -> str:
    """The bounds of the traced size, and how many graphs serve the batches of 8, 4 and 1."""
    bounds: list[str] = []

    def backend(graph: fx.GraphModule, _: Any) -> Any:
        for node in graph.graph.nodes:
            value = node.meta.get("example_value")
            if node.op == "placeholder" and isinstance(value, torch.Tensor):
                size = value.shape[0]
                if isinstance(size, torch.SymInt):
                    known = size.node.shape_env.var_to_range.get(size.node.expr)
                    bounds.append(f"at least {known.lower}" if known else "unbounded")
                else:
                    bounds.append(f"exactly {size}")
        return graph.forward

    compiled = torch.compile(lambda x: x.sin() + 1, backend=backend, fullgraph=True)
    for number, size in enumerate((8, 4, 1)):
        x = torch.ones(size, 4)
        if number == 0:
            mark(x, 0)
        compiled(x)
    return f"{len(bounds)} graphs: {', '.join(bounds)}"


@probe("shapes-backed")
def backed() -> str:
    """A size that is marked as dynamic."""
    return _traced(torch._dynamo.mark_dynamic)


@probe("shapes-unbacked")
def unbacked() -> str:
    """A size that is marked as unbacked."""
    return _traced(torch._dynamo.decorators.mark_unbacked)


@probe("shapes-size-oblivious")
def size_oblivious() -> str:
    """A size that is marked as dynamic, traced without assuming that it is at least 2."""
    with _config.patch(backed_size_oblivious=True):
        return _traced(torch._dynamo.mark_dynamic)
