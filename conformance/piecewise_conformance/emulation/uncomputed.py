"""What an op returns that a device would not run: results without content."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils import _pytree as pytree

from .memory import unseen


def uncomputed(op: Any, args: Any, kwargs: Any, error: Exception) -> Any:
    """What ``op`` returns, as meta tensors tell it, in fresh memory; what it writes it returns as
    it is. Raises ``error``, which it raised when it was run, where meta tensors do not serve.

    A capture launches nothing: an index in memory that is filled before the replay may be anything.
    """
    given: dict[int, torch.Tensor] = {}  # by the identity of the meta tensor that stands for it
    stand_ins: list[torch.Tensor] = []  # alive, so that no other has its identity

    def stand_in(tensor: torch.Tensor) -> torch.Tensor:
        made = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")
        stand_ins.append(made)
        given[id(made)] = tensor
        return made

    def fresh(meta: torch.Tensor) -> torch.Tensor:
        if (own := given.get(id(meta))) is not None:
            return own
        return torch.empty_strided(meta.shape, meta.stride(), dtype=meta.dtype, device="cpu")

    with unseen():
        try:
            own = pytree.tree_map_only(torch.Tensor, stand_in, (args, kwargs))
            return pytree.tree_map_only(torch.Tensor, fresh, op(*own[0], **own[1]))
        except Exception:
            raise error from None
