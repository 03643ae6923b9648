"""Detect pieces with a float that differs between calls, such as an attribute of two models.

Dynamo passes such a float as a tensor and reads it with ``item()``. If AOTAutograd cannot express
its use as tensor arithmetic, it asks Dynamo to trace again with the float as a constant. A piece is
compiled later, when tracing again is impossible.
"""

from __future__ import annotations

import torch
from torch import fx
from torch.utils._sympy.symbol import SymT, symbol_is_type

from ...tracing.symbols import free_symbols
from ...tracing.values import value_of


def has_traced_floats(graph: fx.GraphModule) -> bool:
    """Whether ``graph`` has a float that is neither a constant nor determined by a size."""
    return any(
        symbol_is_type(symbol, (SymT.FLOAT, SymT.UNBACKED_FLOAT))
        for node in graph.graph.nodes
        if isinstance(value := value_of(node), torch.SymFloat)
        for symbol in free_symbols(value)
    )
