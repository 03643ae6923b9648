"""Decide whether a piece launches any kernel.

Replaying a captured graph without kernels wastes a launch in each layer.
"""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import fx
from torch._ops import OpOverloadPacket

from ..tracing.values import value_of

_ALLOCATIONS = ("empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided")
_VIEWS = (
    "detach", "expand", "expand_as", "movedim", "narrow", "permute", "select", "squeeze",
    "swapaxes", "t", "transpose", "unsqueeze", "view", "view_as",
)  # fmt: skip


def launches_kernels(graph: fx.Graph) -> bool:
    """Whether any node of ``graph`` launches a kernel. Numbers, sizes, uninitialized memory and
    views do not.
    """
    return any(_computes(node) for node in graph.nodes if node.op.startswith("call_"))


def _computes(node: fx.Node) -> bool:
    if _is_number(value_of(node)):
        return False
    if node.target is operator.getitem:  # of a tensor, a slice is a view and an index a copy
        return not all(map(_slices, _as_tuple(node.args[1])))
    if node.op == "call_module" or _namespace(node.target) != "aten":
        return True
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
    return name.partition(".")[0] not in (*_ALLOCATIONS, *_VIEWS)


def _namespace(target: Any) -> str:
    """The namespace of the op ``target``; functions and methods of torch count as ``aten``."""
    if isinstance(target, OpOverloadPacket):
        return target._qualified_op_name.partition("::")[0]
    return str(getattr(target, "namespace", "aten"))


def _is_number(value: Any) -> bool:
    if isinstance(value, (tuple, list)):
        return bool(value) and all(map(_is_number, value))
    return isinstance(value, (int, float, torch.SymInt, torch.SymFloat, torch.SymBool))


def _as_tuple(index: Any) -> tuple[Any, ...]:
    return index if isinstance(index, tuple) else (index,)


def _slices(index: Any) -> bool:
    if isinstance(index, fx.Node):
        return _is_number(value_of(index))
    return index is None or index is Ellipsis or isinstance(index, (int, slice))
