"""How inputs lie in memory, in words: it is often the whole cause of a wrong result."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch.utils import _pytree as pytree


def layout(values: Iterable[Any], where: str = "") -> str:
    """A comment with a line for each of ``values``: size, strides, offset, and shared memory.

    ``where`` says of which call they are the inputs.
    """
    first: dict[int, int] = {}
    lines = [f"# inputs {where}".rstrip() + ":"]
    for position, value in enumerate(pytree.tree_leaves(list(values))):
        lines.append(f"#   {position}: {_one(position, value, first)}")
    return "\n".join(lines)


def with_layout(program: str, values: Iterable[Any], where: str = "") -> str:
    """The text of ``program``, and behind it how its inputs lie in memory."""
    return f"{program.rstrip()}\n\n{layout(values, where)}"


def _one(position: int, value: Any, first: dict[int, int]) -> str:
    if not isinstance(value, torch.Tensor):
        return repr(value)[:80]
    kind = f"{str(value.dtype).removeprefix('torch.')}{list(value.shape)}"
    if value.layout is not torch.strided:
        return f"{kind} {str(value.layout).removeprefix('torch.')}"
    words = [f"{kind} stride {tuple(value.stride())} offset {value.storage_offset()}"]
    if not value.is_contiguous():
        words.append("not contiguous")
    if value.is_conj() or value.is_neg():
        words.append("lazily conjugated or negated")
    if value.requires_grad:
        words.append("requires grad")
    if value.untyped_storage().nbytes():
        earlier = first.setdefault(value.untyped_storage().data_ptr(), position)
        if earlier != position:
            words.append(f"shares the memory of {earlier}")
    return ", ".join(words)
