"""What torch says of an op: whether it waits, allocates, writes, or runs Python."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import torch
from torch.utils import _pytree as pytree

_BUILTIN = ("aten", "prims", "prim", "_c10d_functional", "c10d", "quantized", "mkldnn")
_MASKS = (torch.bool, torch.uint8)
_INDEXING = ("index", "index_put", "index_put_", "_unsafe_index", "_index_put_impl_")
_OF_VALUES = re.compile(
    "out of (bounds|range|DATA bounds)|ZeroDivisionError|inf, nan or element < 0"
)
_EMPTY = (
    "empty", "empty_like", "empty_strided", "empty_permuted", "new_empty", "new_empty_strided",
)  # fmt: skip


def name_of(op: Any) -> str:
    """As a user writes it: ``aten::add.Tensor``, without an overload that is the default."""
    return op._schema.name + (f".{op._overloadname}" if op._overloadname != "default" else "")


def _base(op: Any) -> str:
    return str(op._schema.name).partition("::")[2]


def waits_for_the_device(op: Any, args: Any) -> str | None:
    """Why the host must wait for a value before ``op`` can return; None if it need not."""
    if op.namespace == "aten" and _base(op) in _INDEXING:
        fills = len(args) > 2 and args[2].numel() == 1  # one value, as masked_fill takes it
        if not fills and any(each.dtype in _MASKS for each in _tensors(args[1])):
            return "indexing by a mask makes the host wait for the number of True values"
        return None
    if torch.Tag.data_dependent_output in op.tags:
        return "its result is a value that the device has not computed yet"
    if torch.Tag.dynamic_output_shape in op.tags:
        return "the size of its result depends on values that the device has not computed yet"
    return None


def blames_values(error: Exception) -> bool:
    """Whether an op raised ``error`` for what stood in a tensor, such as an index beyond it."""
    return isinstance(error, IndexError) or _OF_VALUES.search(str(error)) is not None


def is_composite(op: Any) -> bool:
    """Whether ``op`` is only another way to write other ops."""
    key = torch._C.DispatchKey.CompositeImplicitAutograd
    return op.namespace in _BUILTIN and op.has_kernel_for_dispatch_key(key)


def is_undefined(op: Any) -> bool:
    """Whether ``op`` hands out memory with whatever stood there."""
    return op.namespace == "aten" and _base(op) in _EMPTY


def makes_memory(op: Any) -> bool:
    """Whether a result of ``op`` lies in memory of its own, by its schema."""
    return any(each.alias_info is None for each in op._schema.returns)


def is_pure_view(op: Any) -> bool:
    """Whether ``op`` launches nothing: its results are its arguments, seen otherwise."""
    schema = op._schema
    return bool(schema.returns) and all(
        each.alias_info is not None and not each.alias_info.is_write for each in schema.returns
    )


def written(op: Any, args: Any, kwargs: Any) -> Iterator[torch.Tensor]:
    """The tensors that ``op`` says it writes."""
    for position, argument in enumerate(op._schema.arguments):
        if argument.alias_info is None or not argument.alias_info.is_write:
            continue
        given = args[position] if position < len(args) else kwargs.get(argument.name)
        yield from _tensors(given)


def runs_python(op: Any) -> bool:
    """Whether ``op`` is a custom op whose kernel is Python: what a capture records is what that
    launches, while its Python runs once.
    """
    if op.namespace in _BUILTIN:
        return False
    from torch._library.custom_ops import OPDEFS

    name = op._schema.name
    if name in OPDEFS:
        return True
    registered: set[str] = getattr(torch.library, "_impls", set())
    flat = name.replace("::", "/")
    overload = "" if op._overloadname == "default" else f".{op._overloadname}"
    keys = ("CPU", "CompositeExplicitAutograd", "CompositeImplicitAutograd")
    return any(f"{flat}{overload}/{key}" in registered for key in keys)


def is_plain(tensor: torch.Tensor) -> bool:
    """Whether ``tensor`` is memory on the machine: no fake, no meta, no wrapper around others."""
    return type(tensor) in (torch.Tensor, torch.nn.Parameter, torch.nn.Buffer) and (
        tensor.device.type == "cpu"
    )


def _tensors(values: Any) -> list[torch.Tensor]:
    return [each for each in pytree.tree_leaves(values) if isinstance(each, torch.Tensor)]
