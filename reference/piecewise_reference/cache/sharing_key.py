"""Find equal pieces, so that one of them is compiled and the others load its artifact.

Most layers of a model are equal. Two pieces with the same identity (:mod:`.graph_key`), so that a
cache entry is valid for both, may still differ in these ways:

* Their symbols have the same roles but are different symbols. A compiler may rely on the bounds
  and the example of each symbol, and on relations between symbols. Equal pieces have the *same*
  symbols.
* State global to torch changed in between: grad mode, autocast, the number of threads.
* They read attributes. A buffer with equal content is a different buffer, which may be written
  later. A piece that reads attributes is therefore not equal to any other.

Pieces share the artifact, not the callable. Each piece asks the compiler to load the artifact,
because only the compiler knows whether one callable can serve them all or has its own state, such
as captured graphs.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from torch import fx
from torch._C._dynamo.guards import GlobalStateGuard
from torch.utils import _pytree as pytree

from ..tracing.symbols import SYMBOLIC, scalars
from ..tracing.values import value_of


def sharing_key(graph: fx.GraphModule, example_inputs: Sequence[Any]) -> Hashable:
    """What pieces of one identity must have in common to share an artifact; None if the
    piece cannot share.

    Call it before compiling, which may change both graph and symbols.
    """
    nodes = graph.graph.nodes
    if any(node.op in ("get_attr", "call_module") for node in nodes):
        return None
    values = pytree.tree_leaves([*example_inputs, *map(value_of, nodes)])
    symbols = tuple(
        (scalar.node.expr, scalar.node.shape_env)  # s0 of another tracing is another symbol
        for value in values
        for scalar in scalars(value)
        if isinstance(scalar, SYMBOLIC)
    )
    return symbols, GlobalStateGuard().__getstate__()
