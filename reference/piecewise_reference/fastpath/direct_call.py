"""Call the pieces of a split graph one after another, without ``nn.Module`` in between.

The plain implementation calls the split graph, which is a module. Its code finds each piece with
``nn.Module.__getattr__`` and calls it through the hooks, tracing and error handling of modules,
which takes several microseconds per piece. The code that torch generated for the split graph is a
plain function that uses ``self`` only to find the pieces, so it is called with another ``self``: a
namespace of plain functions.
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
    """The function behind ``callee`` if it is a graph without hooks; otherwise ``callee``."""
    if not isinstance(callee, fx.GraphModule) or any(getattr(callee, name) for name in _HOOKS):
        return callee
    _LazyGraphModule.force_recompile(callee)  # its ``forward`` of now would be a stand-in
    return callee.forward


def direct_call(split_gm: fx.GraphModule) -> Callable[..., Any]:
    """Return a function equivalent to ``split_gm`` with its current pieces.

    Pieces that are replaced later, and hooks that are added later, have no effect.
    """
    if any(getattr(nn_module, f"_global{name}") for name in _HOOKS):
        return split_gm  # a global hook observes every module
    _LazyGraphModule.force_recompile(split_gm)
    pieces = SimpleNamespace()
    for node in split_gm.graph.nodes:
        if node.op == "call_module":
            setattr(pieces, node.target, plain_function(getattr(split_gm, node.target)))
        elif node.op == "get_attr":  # the first part of a.b.c; the code reads the rest from it
            name = node.target.partition(".")[0]
            setattr(pieces, name, getattr(split_gm, name))
    return MethodType(type(split_gm).forward, pieces)
