"""Pieces with a float that differs from call to call, such as an attribute that two models have.

Dynamo passes such a float as a tensor and reads it with ``item()``. AOTAutograd cannot compile what
it cannot turn into tensor arithmetic: it asks Dynamo to trace again, with the float as a constant.
A piece is compiled later, when nobody can trace again.
"""

from __future__ import annotations

import torch
from torch import fx
from torch.utils._sympy.symbol import SymT, symbol_is_type

from ...tracing.symbols import free_symbols
from ...tracing.values import value_of


def has_traced_floats(graph: fx.GraphModule) -> bool:
    """Whether a value in ``graph`` is a float that tracing did not fix, and no size tells."""
    return any(
        symbol_is_type(symbol, (SymT.FLOAT, SymT.UNBACKED_FLOAT))
        for node in graph.graph.nodes
        if isinstance(value := value_of(node), torch.SymFloat)
        for symbol in free_symbols(value)
    )
