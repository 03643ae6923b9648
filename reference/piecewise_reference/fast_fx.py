"""What makes splitting fast: each trick beside the plain way.

They are about the same fact: a graph of 100,000 nodes is copied, and nothing of it is thrown away.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import fx
from torch.fx._lazy_graph_module import _LazyGraphModule


class LazyModule(_LazyGraphModule):
    """A graph module whose Python code is written when somebody calls it or asks for the code.

    Writing and compiling that code takes several times as long as making the graph, and a compiler
    needs none of it. The plain way is ``fx.GraphModule``. torch's own lazy module calls itself a
    second time after its code was written, and hooks with it; this one does not.
    """

    def _lazy_forward(self, *args: Any, **kwargs: Any) -> Any:
        self.real_recompile()
        return self.forward(*args, **kwargs)

    forward = _lazy_forward


def copy_node(graph: fx.Graph, node: fx.Node, argument: Callable[[fx.Node], Any]) -> fx.Node:
    """A copy of ``node`` at the end of ``graph``; ``argument`` tells what stands for its inputs.

    Does what ``graph.node_copy(node, argument)`` does, the plain way. That checks, for any caller,
    all arguments for symbols, by way of pytree, which takes half the time of making a node; a copy
    has the arguments of a node that was checked. Arguments that are set afterwards are not.
    """
    args = fx.node.map_arg(node.args, argument)  # first: it may add to the graph what it needs
    kwargs = fx.node.map_arg(node.kwargs, argument)
    copy = graph.create_node(node.op, node.target, (), {}, node.name, node.type)
    if args:
        copy.args = args
    if kwargs:
        copy.kwargs = kwargs
    copy.meta.update(node.meta)  # assigning it would look for hooks on renaming
    return copy
