"""``VllmBackend``: what ``torch.compile(backend=...)`` is given."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import fx
from torch._subclasses.fake_tensor import FakeTensorMode

from . import cache_dir, env, events
from .config import VllmConfig
from .copying import make_copy_and_call
from .interpreter import PiecewiseCompileInterpreter
from .manager import CompilerManager
from .piecewise_backend import PiecewiseBackend
from .splitting import SplitItem, split_graph
from .symbols import free_symbols
from .values import UNKNOWN, value_of

logger = logging.getLogger(__name__)


class VllmBackend:
    """Splits the graph, and has the pieces between splitting ops compiled and cached.

    One instance serves one graph: calling it again is a RuntimeError. ``prefix`` names this
    model's part of the cache. ``split_gm`` and ``piecewise_graphs`` tell, after the call, how the
    graph was split. Seed: ``VllmBackend``.
    """

    graph: fx.GraphModule
    split_gm: fx.GraphModule
    piecewise_graphs: list[SplitItem]
    fake_mode: FakeTensorMode | None = None

    def __init__(
        self, vllm_config: VllmConfig, prefix: str = "backbone", is_encoder: bool = False
    ) -> None:
        self.vllm_config = vllm_config
        self.compilation_config = vllm_config.compilation_config
        self.prefix = prefix
        self.is_encoder = is_encoder
        self.compiler_manager = CompilerManager(self.compilation_config)
        # The compiler may change what it is given: the user's config is not for that.
        self.inductor_config = copy.deepcopy(self.compilation_config.inductor_compile_config)
        self._called = False
        self._compiled_pieces: set[int] = set()

    def __call__(self, graph: fx.GraphModule, example_inputs: Sequence[Any]) -> Callable[..., Any]:
        """The callable for ``graph``: it takes what the graph takes and returns what it returns."""
        if self._called:
            raise RuntimeError(
                "VllmBackend can only be called once: a second graph reached it, which means that "
                "the model has a graph break or was recompiled for new guards. Compile with "
                "fullgraph=True to see where it breaks, or give each graph a backend of its own"
            )
        self.graph = graph
        folder = self._open_cache()
        self.split_gm, self.piecewise_graphs = split_graph(
            graph, self.compilation_config.splitting_ops
        )
        splitting = sum(item.is_splitting_graph for item in self.piecewise_graphs)
        events.emit(events.Split(len(self.piecewise_graphs), splitting))

        inputs = self._traced_inputs(example_inputs)
        names = [item.submod_name for item in self.piecewise_graphs if not item.is_splitting_graph]
        PiecewiseCompileInterpreter(self.split_gm, names, self.vllm_config, self).run(*inputs)
        if folder is not None:
            cache_dir.write_graph(folder, self.split_gm)
        self._called = True
        if not self.compilation_config.cudagraph_copy_inputs:
            return self.split_gm
        # Weights and other static inputs have no symbol in their shape, and stay where they are.
        symbolic = [
            index
            for index, value in enumerate(inputs)
            if isinstance(value, torch.Tensor) and free_symbols(value)
        ]
        return make_copy_and_call(symbolic, [None] * len(symbolic), self.split_gm)

    def _open_cache(self) -> str | None:
        """Open the cache in its folder; None, and no cache, if it is off or has no place."""
        factors = cache_dir.gather(
            self.vllm_config, self.compiler_manager.compute_hash(self.vllm_config)
        )
        if env.DISABLE_COMPILE_CACHE.enabled():
            self.compiler_manager.initialize_cache("", disable_cache=True, prefix=self.prefix)
            return None
        try:
            folder = cache_dir.create(self.vllm_config, factors, self.prefix)
        except OSError as error:
            logger.warning("No compile cache: its folder cannot be made (%s)", error)
            self.compiler_manager.initialize_cache("", disable_cache=True, prefix=self.prefix)
            return None
        self.compilation_config.local_cache_dir = folder
        self.compiler_manager.initialize_cache(folder, prefix=self.prefix)
        cache_dir.write_factors(folder, factors)
        return folder

    def _traced_inputs(self, example_inputs: Sequence[Any]) -> list[Any]:
        """The inputs as tracing saw them: fake where it knew a tensor, with its symbols."""
        placeholders = self.graph.graph.find_nodes(op="placeholder")
        return [
            example if (value := value_of(node)) is UNKNOWN else value
            for node, example in zip(placeholders, example_inputs, strict=True)
        ]

    def piece_compiled(self, piece: PiecewiseBackend) -> None:
        """Told by a piece that one more of its ranges is compiled or loaded."""
        self.compiler_manager.save_to_file()
