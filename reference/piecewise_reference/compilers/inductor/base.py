"""What both adaptors of Inductor share: where artifacts go, and what Inductor's code depends on."""

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
    """A compiler that keeps artifacts in ``cache_dir``; None while the cache is off."""

    cache_dir: str | None = None

    def initialize_cache(
        self, cache_dir: str, disable_cache: bool = False, prefix: str = ""
    ) -> None:
        """Artifacts go into ``cache_dir``, unless the cache is off."""
        self.cache_dir = None if disable_cache else cache_dir

    def compute_hash(self, vllm_config: VllmConfig) -> str:
        """Inductor's own view of its version, of torch's and of the machine's, and the settings
        global to torch. Raises NoKeyError for one that is no plain data.
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
    """Whether code may take all shapes for constants: for a single size without other symbols."""
    return compile_range.is_single_size() and not all_symbols(example_inputs)
