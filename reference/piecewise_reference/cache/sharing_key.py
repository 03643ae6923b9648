"""Which pieces are equal, so that one is compiled and the others take its artifact.

Most layers of a model are equal. How two pieces may differ although an entry is right for either,
that is, although they have one identity (:mod:`.graph_key`), is told here:

* Their symbols play the same parts and are others. A compiler knows bounds and an example of each
  symbol, and relations between them, and may rely on all that. Equal pieces have the *same*
  symbols.
* What is global to torch changed in between: grad mode, autocast, the number of threads.
* They read attributes. A buffer with equal content may be written later, and is another one; so a
  piece that reads any is like no other.

What is shared here is the artifact. Each piece asks the compiler to load it: that knows whether one
callable can serve them all, or whether it keeps something of its own, such as captured graphs.
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
    """What pieces of one identity must have in common to share; None if the piece cannot.

    Ask before compiling, which may change both graph and symbols.
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
