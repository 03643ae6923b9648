"""What a node of a graph calls, as text: equal for what does the same, also in another process.

A name is not enough. What is registered or written under a name changes with the code around it:
a corrected list of what an op writes, a function that was edited. And a graph knows some things
only by their number in a table of its process.
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
    """A text that is equal to no other: what nothing tells from others is compiled every time."""
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
    """An op by its name and by what its registration says of it: its schema and its tags."""
    if str(op).partition(".")[0] in _TORCH:
        return str(op)
    if isinstance(op, OpOverloadPacket):
        return f"{op} {[op_key(getattr(op, name)) for name in op.overloads()]}"
    return f"{op} {op._schema} {sorted(map(str, op.tags))}"


def _has_name(function: Any) -> bool:
    """Whether the text of ``function`` stands for this one alone.

    It does not for lambdas, for functions that were made in another, nor for methods of an object.
    """
    if " at 0x" not in str(function):
        return True
    if (owner := getattr(function, "__self__", None)) is not None:
        return isinstance(owner, (type, ModuleType))
    return "<" not in getattr(function, "__qualname__", "<")


def _source(function: FunctionType) -> str:
    """The source of a function that may be edited, with all of its file, which has what it calls;
    torch's are known by torch's release.
    """
    if function.__module__.partition(".")[0] == "torch":
        return ""
    try:
        return digest(inspect.findsource(function)[0])
    except OSError:
        return unlike_any()


def kernel_key(kwargs: Mapping[str, Any]) -> str:
    """What the numbers in a call of a Triton kernel mean; empty for any other call."""
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
