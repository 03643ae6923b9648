"""Call the pieces of a split graph one after another, with nothing in between.

The plain way is to call the split graph: a module, whose code finds each piece by
``nn.Module.__getattr__`` and calls it through hooks, tracing and error handling of modules, which
takes several microseconds a piece. The code that torch generated for the split graph is a plain
function, though, which uses its ``self`` for no more than to find the pieces. Here it is given
another ``self``: a namespace of plain functions.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MethodType, SimpleNamespace
from typing import Any

from torch import fx
from torch.fx._lazy_graph_module import _LazyGraphModule
from torch.nn.modules import module as nn_module

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def plain_function(callee: Callable[..., Any]) -> Callable[..., Any]:
    """What calling ``callee`` comes to, if it is a graph without hooks; else ``callee``."""
    if not isinstance(callee, fx.GraphModule) or any(getattr(callee, name) for name in _HOOKS):
        return callee
    _LazyGraphModule.force_recompile(callee)  # its ``forward`` of now would be a stand-in
    return callee.forward


def direct_call(split_gm: fx.GraphModule) -> Callable[..., Any]:
    """A function that does what ``split_gm`` does, with the pieces that it has now.

    Pieces that are replaced later, and hooks that are added later, are not seen.
    """
    if any(getattr(nn_module, f"_global{name}") for name in _HOOKS):
        return split_gm  # somebody watches every module of the process
    _LazyGraphModule.force_recompile(split_gm)
    pieces = SimpleNamespace()
    for node in split_gm.graph.nodes:
        if node.op == "call_module":
            setattr(pieces, node.target, plain_function(getattr(split_gm, node.target)))
        elif node.op == "get_attr":  # the first part of a.b.c; the code reads the rest off it
            name = node.target.partition(".")[0]
            setattr(pieces, name, getattr(split_gm, name))
    return MethodType(type(split_gm).forward, pieces)
