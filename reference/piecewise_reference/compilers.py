"""The eager adaptor, and the choice of a compiler by name."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

from torch import fx

from . import env
from .compiler_interface import CompilerInterface, Runnable
from .config import CompilationConfig, VllmConfig
from .hashing import digest
from .ranges import Range


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


def resolve_qualified_name(name: str) -> Any:
    """The object at ``package.module.attribute``; ValueError with the reason if there is none."""
    module_name, _, attribute = name.rpartition(".")
    try:
        return getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(
            f'no compiler {name!r} ({error}): use "eager", "inductor", or the qualified name '
            "package.module.Class of a compiler"
        ) from error


def make_compiler(config: CompilationConfig) -> CompilerInterface:
    """The compiler that ``config.backend`` names. Seed: ``make_compiler``."""
    if config.backend == "eager":
        return EagerAdaptor()
    if config.backend == "inductor":
        if not env.USE_STANDALONE_COMPILE.enabled():
            raise ValueError(
                f"{env.USE_STANDALONE_COMPILE.name}=0 asks for Inductor without standalone "
                "compile, which is not here yet: unset it"
            )
        from .inductor_standalone import InductorStandaloneAdaptor  # imports Inductor: seconds

        return InductorStandaloneAdaptor(config.compile_cache_save_format)
    compiler = resolve_qualified_name(config.backend)()
    missing = _missing_members(compiler, ("compile", "load", "initialize_cache", "compute_hash"))
    if missing:
        raise TypeError(f"compiler {config.backend} lacks {', '.join(missing)}")
    return compiler


def _missing_members(value: object, names: Sequence[str]) -> list[str]:
    return [name for name in (*names, "name") if not hasattr(value, name)]
