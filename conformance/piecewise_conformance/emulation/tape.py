"""The tape of one capture: what was launched, with the places that it reads and writes.

An entry keeps no tensor of the program, only places: a storage, and how the tensor lay in it. So
the tape owns nothing, as a CUDA graph does not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.utils import _pytree as pytree

from .memory import Block


@dataclass(frozen=True, eq=False)
class Place:
    """Where a tensor lay when it was captured."""

    storage: torch.UntypedStorage
    dtype: torch.dtype
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int
    conjugated: bool
    negated: bool

    @staticmethod
    def of(tensor: torch.Tensor) -> Place:
        """The place of ``tensor``, which must be strided."""
        return Place(
            tensor.untyped_storage(),
            tensor.dtype,
            tuple(tensor.shape),
            tuple(tensor.stride()),
            int(tensor.storage_offset()),
            tensor.is_conj(),
            tensor.is_neg(),
        )

    @property
    def address(self) -> int:
        """Of the storage."""
        return self.storage.data_ptr()

    def tensor(self) -> torch.Tensor:
        """A tensor there."""
        made = torch.empty(0, dtype=self.dtype, device=self.storage.device)
        made.set_(self.storage, self.offset, self.shape, self.strides)
        made = made.conj() if self.conjugated else made
        return torch._neg_view(made) if self.negated else made


def places_of(values: Any) -> Any:
    """``values`` with a place for each tensor."""
    return pytree.tree_map_only(torch.Tensor, Place.of, values)


def tensors_at(values: Any) -> Any:
    """``values`` with a tensor for each place."""
    return pytree.tree_map_only(Place, Place.tensor, values, is_leaf=_is_place)


def places_in(values: Any) -> Iterator[Place]:
    """The places in ``values``."""
    for leaf in pytree.tree_leaves(values, is_leaf=_is_place):
        if isinstance(leaf, Place):
            yield leaf


def _is_place(value: Any) -> bool:
    return isinstance(value, Place)


@dataclass(eq=False)
class Launch:
    """One op, or one opaque callable, with the places it takes and the places of fresh results.

    ``results`` are by position among the tensors that it returns; None for one that lies in an
    argument. ``fresh`` memory is left undefined, as ``empty`` does: then nothing runs.
    """

    op: str
    where: str
    function: Callable[..., Any]
    args: Any
    kwargs: Any
    results: list[Place | None]
    made: list[Block] = field(default_factory=list)
    is_empty: bool = False

    def run(self) -> None:
        """Do it again, at the same places."""
        if self.is_empty:
            for block in self.made:
                block.poison(None)
            return
        args, kwargs = tensors_at((self.args, self.kwargs))
        found = self.function(*args, **kwargs)
        tensors = [each for each in pytree.tree_leaves(found) if isinstance(each, torch.Tensor)]
        for place, tensor in zip(self.results, tensors, strict=True):
            if place is not None:
                place.tensor().copy_(tensor)
        for block in self.made:
            block.lost = None


@dataclass(eq=False)
class Recycle:
    """From here on the graph's own allocations may lie in ``blocks``, which nobody owned."""

    blocks: list[Block]
    op: str
    where: str

    def run(self) -> None:
        """Poison them."""
        for block in self.blocks:
            block.poison(f"its memory was given to {self.op}, captured at {self.where}")


Entry = Launch | Recycle
