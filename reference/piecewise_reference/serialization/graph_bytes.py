"""A captured graph as bytes, and back in another process.

``torch.fx``'s own pickler saves graphs and symbols. This module saves fake tensors: their metadata,
and which memory they share, which a compiler must know for inputs that are written.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import fx
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.fx._graph_pickler import GraphPickler, Options

# The metadata that the reference reads; other entries of ``node.meta`` may not be picklable.
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
    """Create a fake tensor. Tensors with one ``storage_id`` share their storage."""
    storages = state.__dict__.setdefault("piecewise_storages", {})
    with state.fake_mode, torch.no_grad():
        if storage_id not in storages:
            storages[storage_id] = torch.empty(nbytes, dtype=torch.uint8, device=device)
        tensor = torch.empty(0, dtype=dtype, device=device)
        tensor.set_(storages[storage_id].untyped_storage(), offset, shape, strides)
    return tensor.requires_grad_(requires_grad)


def graph_to_bytes(graph: fx.GraphModule, inputs: Sequence[Any]) -> bytes:
    """Serialize ``graph`` and its traced ``inputs``. Raises whatever pickling raises."""
    options = Options(ops_filter=None, node_metadata_key_filter=lambda key: key in _KEPT_METADATA)
    return _Pickler.dumps((graph, list(inputs)), options)


def graph_from_bytes(data: bytes, fake_mode: FakeTensorMode) -> tuple[fx.GraphModule, list[Any]]:
    """Deserialize the arguments of ``graph_to_bytes``, with fake tensors in ``fake_mode``.

    This unpickles, so ``data`` must be verified first.
    """
    kept: Any = GraphPickler.loads(data, fake_mode)
    graph, inputs = kept
    return graph, inputs
