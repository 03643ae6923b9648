"""What the manager asks of a compiler."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import fx

from ..config.vllm_config import VllmConfig
from ..ranges import Range

Runnable = Callable[..., Any]


class CompilerInterface:
    """What the manager asks of a compiler. Seed context: *CompilerInterface*.

    A handle is a plain literal from which ``load`` finds the artifact again, also in another
    process and after the cache was moved; None says that there is nothing to find.
    """

    name: str = ""
    # Whether pieces that are equal may be served by one artifact, which each of them loads.
    shares_artifacts: bool = False

    def initialize_cache(
        self, cache_dir: str, disable_cache: bool = False, prefix: str = ""
    ) -> None:
        """Told once, before anything is compiled, where artifacts may be kept."""

    def compute_hash(self, vllm_config: VllmConfig) -> str:
        """A hash of all outside the config that changes what this compiler makes."""
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

        Returns the callable, which takes what the graph takes and returns what it returns, and a
        handle or None. ``key`` names the artifact among those of this cache folder.
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
        """The callable that ``handle`` stands for; any exception means that it is gone."""
        raise NotImplementedError

    def from_bytes(
        self,
        data: bytes,
        graph: fx.GraphModule,
        example_inputs: list[Any],
        compile_range: Range,
    ) -> Runnable:
        """The callable whose ``to_bytes()`` gave ``data``; only for callables that have that."""
        raise NotImplementedError
