"""The common part of both Inductor adaptors: the artifact folder and the hash."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from ...config.vllm_config import VllmConfig
from ...hashing import digest
from ...ranges import Range
from ...tracing.symbols import all_symbols
from ..interface import CompilerInterface


class InductorBase(CompilerInterface):
    """A compiler that stores artifacts in ``cache_dir``, which is None if caching is off."""

    cache_dir: str | None = None

    def initialize_cache(
        self, cache_dir: str, disable_cache: bool = False, prefix: str = ""
    ) -> None:
        """Store artifacts in ``cache_dir``, unless the cache is disabled."""
        self.cache_dir = None if disable_cache else cache_dir

    def compute_hash(self, vllm_config: VllmConfig) -> str:
        """Inductor's hash of its version, torch and the machine, with the settings global to torch.
        Raises NoKeyError for a setting that is not plain data.
        """
        return digest(self.name, _identity(), _global_settings())


def _identity() -> list[Any]:
    from torch._inductor.codecache import CacheBase, torch_key  # imports Inductor: seconds

    return [torch.__version__, torch_key(), CacheBase.get_system()]


def _global_settings() -> list[Any]:
    import torch._functorch.config as functorch_config
    import torch._inductor.config as inductor_config

    return [
        inductor_config.save_config_portable(),
        functorch_config.save_config_portable(),
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.utils.deterministic.fill_uninitialized_memory,  # type: ignore[attr-defined]
        torch.get_float32_matmul_precision(),
    ]


def has_constant_shapes(example_inputs: Sequence[Any], compile_range: Range) -> bool:
    """Whether all shapes are constants: a single size, and no other symbols."""
    return compile_range.is_single_size() and not all_symbols(example_inputs)
