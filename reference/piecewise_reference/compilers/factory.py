"""Choose a compiler by name."""

from __future__ import annotations

from collections.abc import Sequence

import torch._inductor

from .. import env
from ..config.vllm_config import CompilationConfig
from ..platforms import resolve_qualified_name
from .eager import EagerAdaptor
from .interface import CompilerInterface


def make_compiler(config: CompilationConfig) -> CompilerInterface:
    """Create the compiler that ``config.backend`` names. Seed: ``make_compiler``.

    Raises ValueError for a name that does not exist or for contradictory flags, and TypeError for
    a class without the compiler interface.
    """
    standalone = env.USE_STANDALONE_COMPILE.enabled()
    if env.USE_MEGA_AOT_ARTIFACT.enabled() and not standalone:
        raise ValueError(
            f"{env.USE_MEGA_AOT_ARTIFACT.name}=1 needs {env.USE_STANDALONE_COMPILE.name}=1: "
            "set that too, or leave the first off"
        )
    if config.backend == "eager":
        return EagerAdaptor()
    if config.backend == "inductor":
        if standalone and hasattr(torch._inductor, "standalone_compile"):
            # imports Inductor: seconds
            from .inductor.standalone_adaptor import InductorStandaloneAdaptor

            return InductorStandaloneAdaptor(config.compile_cache_save_format)
        from .inductor.compile_fx_adaptor import InductorAdaptor

        return InductorAdaptor()
    compiler = resolve_qualified_name(config.backend, "compiler")()
    missing = _missing_members(compiler, ("compile", "load", "initialize_cache", "compute_hash"))
    if missing:
        raise TypeError(f"compiler {config.backend} lacks {', '.join(missing)}")
    return compiler


def _missing_members(value: object, names: Sequence[str]) -> list[str]:
    return [name for name in (*names, "name") if not hasattr(value, name)]
