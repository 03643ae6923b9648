"""The eager adaptor: a compiler that compiles nothing."""

from __future__ import annotations

from typing import Any

from torch import fx

from ..config.vllm_config import VllmConfig
from ..hashing import digest
from ..ranges import Range
from .interface import CompilerInterface, Runnable


class EagerAdaptor(CompilerInterface):
    """Compiles nothing: the graph is the callable, and there is nothing to cache."""

    name = "eager"

    def compute_hash(self, vllm_config: VllmConfig) -> str:
        """Nothing outside the config matters to a graph that runs as it is."""
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
