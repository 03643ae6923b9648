"""Memory as a graph pool sees it: blocks, who owns them, and what is left when nobody does.

A pool gives the memory of a tensor that died to the next allocation, in the same capture or in a
later one. A CPU allocator would do so only now and then, so that here a block is never used twice:
it stays where it is until the emulation ends, and is *poisoned* when the pool could have given it
away.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch

_BYTE_NAN = 0x7F  # NaN in the float8 formats
_BELOW_MAX = 5  # poisoned integers are the largest of their type less this: no index, no length


@contextmanager
def unseen() -> Iterator[None]:
    """What is done inside is the emulator's own: no dispatch mode sees it, no autograd."""
    with torch._C._DisableTorchDispatch(), torch.no_grad():
        yield


def owners(storage: torch.UntypedStorage) -> int:
    """How many tensors have their elements in ``storage``, which has one Python object: ours."""
    return torch._C._storage_Use_Count(storage._cdata) - 1


def poison_value(dtype: torch.dtype) -> Any:
    """What poisoned memory holds: NaN, a number next to the largest, or True."""
    if dtype.is_floating_point or dtype.is_complex:
        return float("nan")
    if dtype is torch.bool:
        return True
    return torch.iinfo(dtype).max - _BELOW_MAX


def as_tensor(storage: torch.UntypedStorage, dtype: torch.dtype) -> torch.Tensor:
    """All of ``storage`` as one row of ``dtype``; a rest of bytes is left out."""
    made = torch.empty(0, dtype=dtype, device=storage.device)
    return made.set_(storage, 0, (storage.nbytes() // dtype.itemsize,), (1,))


@dataclass(eq=False)
class Block:
    """The memory of one tensor that was made in a capture.

    ``lost`` says why its content is not what its graph wrote last; None while it is.
    """

    storage: torch.UntypedStorage
    dtype: torch.dtype
    capture: Any  # the one in which it was made
    op: str
    where: str
    lost: str | None = None

    @property
    def address(self) -> int:
        """Where it begins."""
        return self.storage.data_ptr()

    def is_owned(self) -> bool:
        """Whether a tensor of the program still lies in it."""
        return owners(self.storage) > 0

    def poison(self, why: str | None) -> None:
        """Overwrite it; ``why`` is what a reader is told, None if it is fresh memory."""
        with unseen():
            if self.dtype.is_floating_point and self.dtype.itemsize == 1:
                as_tensor(self.storage, torch.uint8).fill_(_BYTE_NAN)
            else:
                as_tensor(self.storage, self.dtype).fill_(poison_value(self.dtype))
        self.lost = why

    def clear(self) -> None:
        """Make it zero, and readable."""
        with unseen():
            as_tensor(self.storage, torch.uint8).zero_()
        self.lost = None


@dataclass(eq=False)
class Pool:
    """What graphs that were given the same handle take their memory from."""

    handle: tuple[int, int]
    blocks: list[Block] = field(default_factory=list)
    captures: list[Any] = field(default_factory=list)  # of graphs that live, in order
    served: bool = False  # a graph, which may be gone

    @property
    def is_over(self) -> bool:
        """Whether the last of its graphs is gone."""
        return self.served and not self.captures

    def dead(self) -> list[Block]:
        """The blocks that the pool may give to the next allocation."""
        return [block for block in self.blocks if not block.is_owned()]


class AddressBook:
    """Finds the block in which an address lies, also one that no tensor owns any more."""

    def __init__(self) -> None:
        self._blocks: dict[int, Block] = {}
        self._bounds: list[tuple[int, int]] = []  # sorted, begin and end of each

    def add(self, block: Block) -> None:
        """Enter a new block."""
        import bisect

        if block.storage.nbytes():
            self._blocks[block.address] = block
            bisect.insort(self._bounds, (block.address, block.address + block.storage.nbytes()))

    def find(self, address: int) -> Block | None:
        """The block that ``address`` lies in."""
        import bisect

        if (block := self._blocks.get(address)) is not None:
            return block
        place = bisect.bisect_right(self._bounds, (address, 1 << 64)) - 1
        if place < 0 or not self._bounds[place][0] <= address < self._bounds[place][1]:
            return None
        return self._blocks[self._bounds[place][0]]


def weak_ref_tensor(tensor: Any) -> Any:
    """A tensor at the same place that does not own it, as engines make of a graph's output.

    What is no tensor is returned as it is. Reading it after its memory was given away is
    DeadMemory in an emulation. The memory stays mapped as long as the weak tensor lives.
    """
    if not isinstance(tensor, torch.Tensor) or tensor.numel() == 0:
        return tensor
    with unseen(), torch.inference_mode(False):
        storage = tensor.untyped_storage()
        raw = (ctypes.c_char * storage.nbytes()).from_address(storage.data_ptr())
        raw.keeps_mapped = storage  # type: ignore[attr-defined]  # one object: not an owner
        row = torch.frombuffer(raw, dtype=tensor.dtype)
        return row.as_strided(tensor.shape, tensor.stride(), tensor.storage_offset())


def weak_ref_tensors(values: Any) -> Any:
    """``weak_ref_tensor`` of every tensor in tuples, lists and dicts."""
    return torch.utils._pytree.tree_map(weak_ref_tensor, values)
