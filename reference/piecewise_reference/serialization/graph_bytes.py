"""A captured graph as bytes, and back in another process.

``torch.fx``'s own pickler keeps graphs and symbols. Fake tensors are kept here: by what is known
of them and by the memory that they share, which a compiler must know for inputs that are written.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import fx
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.fx._graph_pickler import GraphPickler, Options

# What the reference reads of a node; all else that tools leave there need not be picklable.
_KEPT_METADATA = ("example_value", "unbacked_bindings", "stack_trace")


class _Pickler(GraphPickler):
    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, FakeTensor) and obj.layout is torch.strided:
            return _restore, (
                self._unpickle_state,
                obj.dtype,
                obj.device,
                tuple(obj.shape),
                obj.stride(),
                obj.storage_offset(),
                obj.requires_grad,
                obj.untyped_storage()._cdata,
                obj.untyped_storage().nbytes(),
            )
        return super().reducer_override(obj)


def _restore(
    state: Any,
    dtype: torch.dtype,
    device: torch.device,
    shape: Sequence[Any],
    strides: Sequence[Any],
    offset: Any,
    requires_grad: bool,
    storage_id: int,
    nbytes: Any,
) -> torch.Tensor:
    """The fake tensor; those of one ``storage_id`` share their storage again."""
    storages = state.__dict__.setdefault("piecewise_storages", {})
    with state.fake_mode, torch.no_grad():
        if storage_id not in storages:
            storages[storage_id] = torch.empty(nbytes, dtype=torch.uint8, device=device)
        tensor = torch.empty(0, dtype=dtype, device=device)
        tensor.set_(storages[storage_id].untyped_storage(), offset, shape, strides)
    return tensor.requires_grad_(requires_grad)


def graph_to_bytes(graph: fx.GraphModule, inputs: Sequence[Any]) -> bytes:
    """``graph`` and its ``inputs`` as tracing saw them. Raises whatever pickling raises."""
    options = Options(ops_filter=None, node_metadata_key_filter=lambda key: key in _KEPT_METADATA)
    return _Pickler.dumps((graph, list(inputs)), options)


def graph_from_bytes(data: bytes, fake_mode: FakeTensorMode) -> tuple[fx.GraphModule, list[Any]]:
    """What ``graph_to_bytes`` was given, with its fake tensors in ``fake_mode``.

    Unpickles, so ``data`` must have been checked.
    """
    kept: Any = GraphPickler.loads(data, fake_mode)
    graph, inputs = kept
    return graph, inputs
