"""The identity of what a node of a graph calls, as text that is equal in every process.

A name is not enough, because the code behind a name can change: an op is registered with a
corrected list of the arguments it writes, or a function is edited. And a graph refers to some
objects only by their number in a table of the process.
"""

from __future__ import annotations

import inspect
import uuid
from collections.abc import Mapping
from types import FunctionType, ModuleType
from typing import Any

from torch._higher_order_ops.triton_kernel_wrap import kernel_side_table
from torch._ops import OpOverload, OpOverloadPacket

from ..hashing import digest

_TORCH = ("aten", "prims", "prim")  # namespaces whose ops change with torch alone


def unlike_any() -> str:
    """A text that differs from every other: without an identity, a piece is always compiled."""
    return uuid.uuid4().hex


def callable_key(called: Any) -> str:
    """The text for a function or an op."""
    if isinstance(called, (OpOverload, OpOverloadPacket)):
        return op_key(called)
    if not _has_name(called):
        return unlike_any()
    text = f"{getattr(called, '__module__', '')}.{called}".split(" at 0x")[0]
    return f"{text} {_source(called)}" if isinstance(called, FunctionType) else text


def op_key(op: OpOverload | OpOverloadPacket) -> str:
    """An op, identified by its name, its schema and its tags."""
    if str(op).partition(".")[0] in _TORCH:
        return str(op)
    if isinstance(op, OpOverloadPacket):
        return f"{op} {[op_key(getattr(op, name)) for name in op.overloads()]}"
    return f"{op} {op._schema} {sorted(map(str, op.tags))}"


def _has_name(function: Any) -> bool:
    """Whether the qualified name of ``function`` identifies it.

    This is not so for lambdas, functions defined in other functions, and methods of an object.
    """
    if " at 0x" not in str(function):
        return True
    if (owner := getattr(function, "__self__", None)) is not None:
        return isinstance(owner, (type, ModuleType))
    return "<" not in getattr(function, "__qualname__", "<")


def _source(function: FunctionType) -> str:
    """The source of a function and of its whole file, which contains what it calls. Functions of
    torch are identified by torch's version.
    """
    if function.__module__.partition(".")[0] == "torch":
        return ""
    try:
        return digest(inspect.findsource(function)[0])
    except OSError:
        return unlike_any()


def kernel_key(kwargs: Mapping[str, Any]) -> str:
    """The objects behind the numbers in a call of a Triton kernel; empty for other calls."""
    if "kernel_idx" not in kwargs:
        return ""
    kernel: Any = kernel_side_table.get_kernel(kwargs["kernel_idx"])
    tuned: list[str] = []
    while not hasattr(kernel, "cache_key") and hasattr(kernel, "configs"):
        tuned += map(str, kernel.configs)
        kernel = kernel.fn
    # Triton's own key covers the source of what a kernel calls
    source = getattr(kernel, "cache_key", None) or unlike_any()
    constants = kernel_side_table.get_constant_args(kwargs["constant_args_idx"])
    return digest(source, tuned, {name: repr(value) for name, value in constants.items()})
