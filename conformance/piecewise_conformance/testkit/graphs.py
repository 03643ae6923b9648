"""Reading graphs: what a node does, as far as the contract of splitting is concerned."""

from __future__ import annotations

import builtins
import operator
from collections.abc import Collection, Iterator
from typing import Any

import torch
from torch import fx
from torch._ops import HigherOrderOperator, OpOverload, OpOverloadPacket
from torch.amp import autocast_mode
from torch.autograd import grad_mode

from ..core.boundary import inside_subject
from ..subject.facets import SplitResult
from .drive import run_graph
from .graph_capture import Captured

_UNKNOWN = object()


def matches(node: fx.Node, names: Collection[str]) -> bool:
    """Whether ``node`` calls an op that ``names`` has, with or without overload."""
    if node.op != "call_function":
        return False
    target = node.target
    if isinstance(target, OpOverload):
        packet = target._schema.name
        return packet in names or f"{packet}.{target._overloadname}" in names
    if isinstance(target, OpOverloadPacket):
        full = {f"{target._qualified_op_name}.{each}" for each in target.overloads()}
        only = full if len(full) == 1 else set()
        return bool(({target._qualified_op_name} | only) & set(names))
    if isinstance(target, HigherOrderOperator):
        return target.name() in names or f"{target.namespace}::{target.name()}" in names
    return False


# Reading a shape, taking a tuple apart, a view, and memory without content compute nothing.
_FREE_FUNCTIONS = frozenset(
    {
        builtins.getattr,
        torch.empty,
        torch.empty_like,
        torch.empty_strided,
        torch.ops.aten.sym_size.int,
        torch.ops.aten.sym_size,
        torch.ops.aten.sym_stride.int,
        torch.ops.aten.sym_numel.default,
        torch.Size,
        tuple,
        # a region, or a mode, may be entered by each piece in it
        autocast_mode._enter_autocast,
        autocast_mode._exit_autocast,
        grad_mode._enter_inference_mode,
        grad_mode._exit_inference_mode,
        torch._C._set_grad_enabled,
        torch.set_grad_enabled,
        # a splitter may ask which mode is in force, to put it back
        torch.is_grad_enabled,
        torch.is_inference_mode_enabled,
        torch.is_autocast_enabled,
        torch.get_autocast_dtype,
        torch.is_autocast_cache_enabled,
    }
)
_FREE_METHODS = frozenset({"size", "new_empty", "stride", "dim", "numel"})
# Names of methods, of torch's functions, and of ops of aten that return a view and never copy, as
# reshape and contiguous may. What changes a tensor's own shape, as t_ does, is an effect.
_VIEWS = frozenset(
    {
        *(
            "alias",
            "as_strided",
            "chunk",
            "detach",
            "diagonal",
            "expand",
            "expand_as",
        ),
        *("movedim", "moveaxis", "narrow", "permute", "select", "slice", "split"),
        *("split_with_sizes", "squeeze", "swapaxes", "swapdims", "t", "tensor_split", "transpose"),
        *("unbind", "unflatten", "unfold", "unsqueeze", "view", "view_as", "view_as_complex"),
        "view_as_real",
    }
)


def is_view(node: fx.Node) -> bool:
    """Whether ``node`` only looks at memory that another node made, in another shape."""
    if node.op == "call_method":
        return node.target in _VIEWS
    return node.op == "call_function" and returns_view(node.target)


def returns_view(function: Any) -> bool:
    """Whether ``function``, of torch or an op, only looks at memory, in another shape."""
    if isinstance(function, OpOverload):
        function = function.overloadpacket
    if isinstance(function, OpOverloadPacket):
        namespace, _, name = function._qualified_op_name.partition("::")
        return namespace == "aten" and name in _VIEWS
    name = str(getattr(function, "__name__", ""))
    return name in _VIEWS and getattr(torch, name, None) is function


def computes(node: fx.Node) -> bool:
    """Whether ``node`` computes or has an effect, so that it may neither move nor be repeated."""
    if is_view(node):
        return False
    if node.op == "call_method":
        return node.target not in _FREE_METHODS
    if node.op == "call_module":
        return True
    if node.op != "call_function" or node.target in _FREE_FUNCTIONS:
        return False
    if isinstance(value(node), (torch.SymInt, int, float)):
        return False  # arithmetic on sizes costs nothing
    # Unpacking and indexing share a function. Which of the two it is shows in what it is applied
    # to; either way it makes no launch of its own, and values are compared elsewhere.
    return node.target is not operator.getitem


def without_use(graph: fx.Graph) -> set[fx.Node]:
    """Calls of torch's own functions that have no effect, and whose results nothing needs."""
    found: set[fx.Node] = set()
    for node in reversed(graph.nodes):
        if _has_no_effect(node) and set(node.users) <= found:
            found.add(node)
    return found


def _has_no_effect(node: fx.Node) -> bool:
    """Whether ``node`` surely does no more than return a value."""
    if node.op != "call_function" or node.is_impure() or {"out", "inplace"} & set(node.kwargs):
        return False
    target, name = node.target, str(getattr(node.target, "__name__", "_"))
    if isinstance(target, OpOverload):
        return target.namespace == "aten"
    whose = str(getattr(target, "__module__", "")).partition(".")[0]
    if whose == "_operator":
        return not name.startswith("i")  # iadd and the like write
    return whose == "torch" and not name.endswith("_") and not hasattr(target, "overloads")


def value(node: fx.Node) -> Any:
    """The value that tracing left at ``node``, or None."""
    return node.meta.get("example_value", node.meta.get("val"))


def plain_symbol(each: Any) -> Any:
    """The symbol that a SymInt is, or None if it is an expression or a number."""
    if isinstance(each, (torch.SymInt, torch.SymFloat)):
        expr = each.node.expr
        return expr if expr.is_Symbol else None
    return None


def shape_symbols(each: Any) -> set[Any]:
    """The symbols in the shape of a tensor; none for anything else."""
    if not isinstance(each, torch.Tensor):
        return set()
    sizes: list[Any] = [size for size in each.shape if isinstance(size, torch.SymInt)]
    return {symbol for size in sizes for symbol in size.node.expr.free_symbols}


def layout_symbols(each: Any) -> set[Any]:
    """The symbols in the sizes, strides and storage offset of a tensor; none for anything else."""
    if not isinstance(each, torch.Tensor):
        return set()
    strided = (*each.stride(), each.storage_offset()) if each.layout is torch.strided else ()
    numbers: list[Any] = [n for n in (*each.shape, *strided) if isinstance(n, torch.SymInt)]
    return {symbol for number in numbers for symbol in number.node.expr.free_symbols}


def watch(
    result: SplitResult, graph: Captured, size: int
) -> Iterator[tuple[str, tuple[Any, ...], Any]]:
    """Run the split graph once, and give for each piece its name, its inputs and its outputs."""
    seen: list[tuple[str, tuple[Any, ...], Any]] = []
    hooks = []
    for piece in result.pieces:

        def hook(module: Any, args: Any, kwargs: Any, output: Any, name: str = piece.name) -> None:
            seen.append((name, (*args, *kwargs.values()), output))

        hooks.append(piece.graph.register_forward_hook(hook, with_kwargs=True))
    try:
        with inside_subject("the split graph"):
            run_graph(result.gm, graph, size)
    finally:
        for each in hooks:
            each.remove()
    yield from seen
