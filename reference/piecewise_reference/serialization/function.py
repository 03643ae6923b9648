"""``VllmSerializableFunction``: the callable that the backend returns.

It holds what is needed to load it in another process; :mod:`piecewise_reference.saving` writes and
reads that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import fx


class VllmSerializableFunction:
    """The callable for a graph, with everything that is needed to load it in another process.

    ``optimized_call`` has the inputs and outputs of ``graph_module``. ``example_inputs`` are the
    traced inputs, and ``sym_tensor_indices`` are those that are copied into static buffers.
    ``vllm_backend`` is the backend that created it and holds the compiled artifacts, or None. Seed:
    ``VllmSerializableFunction``.
    """

    def __init__(
        self,
        graph_module: fx.GraphModule,
        example_inputs: Sequence[Any],
        prefix: str,
        optimized_call: Callable[..., Any],
        is_encoder: bool = False,
        vllm_backend: Any = None,
        sym_tensor_indices: Sequence[int] | None = None,
    ) -> None:
        self.graph_module = graph_module
        self.example_inputs = list(example_inputs)
        self.prefix = prefix
        self.optimized_call = optimized_call
        self.is_encoder = is_encoder
        self.vllm_backend = vllm_backend
        self.sym_tensor_indices = sym_tensor_indices

    def __call__(self, *args: Any) -> Any:
        return self.optimized_call(*args)
