"""The interface between the manager and a compiler."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import fx

from ..config.vllm_config import VllmConfig
from ..ranges import Range

Runnable = Callable[..., Any]


class CompilerInterface:
    """The interface between the manager and a compiler. Seed context: *CompilerInterface*.

    A handle is a Python literal with which ``load`` finds the artifact again, also in another
    process and after the cache was moved. None means that nothing is stored.
    """

    name: str = ""
    # Whether equal pieces may share one artifact, which each of them loads.
    shares_artifacts: bool = False

    def initialize_cache(
        self, cache_dir: str, disable_cache: bool = False, prefix: str = ""
    ) -> None:
        """Called once, before the first compile, with the folder for artifacts."""

    def compute_hash(self, vllm_config: VllmConfig) -> str:
        """A hash of everything outside the config that affects the code of this compiler."""
        return ""

    def compile(
        self,
        graph: fx.GraphModule,
        example_inputs: list[Any],
        compiler_config: dict[str, Any],
        compile_range: Range,
        key: str | None = None,
    ) -> tuple[Runnable | None, Any]:
        """Compile ``graph`` for batch sizes in ``compile_range``.

        Returns a callable with the inputs and outputs of the graph, and a handle or None. ``key``
        is a unique name for the artifact in this cache folder.
        """
        raise NotImplementedError

    def load(
        self,
        handle: Any,
        graph: fx.GraphModule,
        example_inputs: list[Any],
        graph_index: int,
        compile_range: Range,
    ) -> Runnable:
        """Load the callable for ``handle``. Any exception means that the artifact is lost."""
        raise NotImplementedError

    def from_bytes(
        self,
        data: bytes,
        graph: fx.GraphModule,
        example_inputs: list[Any],
        compile_range: Range,
    ) -> Runnable:
        """Load a callable from the result of its ``to_bytes()``, if callables have that method."""
        raise NotImplementedError
