"""The eager adaptor: a compiler that returns the graph."""

from __future__ import annotations

from typing import Any

from torch import fx

from ..config.vllm_config import VllmConfig
from ..hashing import digest
from ..ranges import Range
from .interface import CompilerInterface, Runnable


class EagerAdaptor(CompilerInterface):
    """Return the graph as the callable, without a handle, so nothing is cached."""

    name = "eager"

    def compute_hash(self, vllm_config: VllmConfig) -> str:
        """A constant: only the config affects a graph that runs uncompiled."""
        return digest(self.name)

    def compile(
        self,
        graph: fx.GraphModule,
        example_inputs: list[Any],
        compiler_config: dict[str, Any],
        compile_range: Range,
        key: str | None = None,
    ) -> tuple[Runnable | None, Any]:
        """The graph itself, and no handle."""
        return graph, None
