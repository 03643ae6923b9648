"""Inductor through ``compile_fx``, which computes its own cache key.

This adaptor is for a torch without ``standalone_compile``, or if that is disabled. The key is that
of Inductor's FX graph cache, and an artifact is an entry of that cache as one file. To load an
artifact, the adaptor puts it into torch's cache and compiles the graph, which then finds it there.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import torch
import torch._functorch.config as functorch_config
import torch._inductor.config as inductor_config
from torch import fx
from torch._guards import TracingContext, tracing
from torch._inductor.compile_fx import compile_fx, compile_fx_inner
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.compiler._cache import CacheArtifactManager
from torch.fx.experimental.symbolic_shapes import ShapeEnv

from ...passes.pass_context import current_pass_context
from ...ranges import Range
from ..interface import Runnable
from .artifact_files import checked_path, keep
from .base import InductorBase, has_constant_shapes
from .flat_outputs import InductorRunnable, flatten_outputs, output_structure
from .shared_writes import writes_shared_memory
from .traced_floats import has_traced_floats

logger = logging.getLogger(__name__)


class InductorAdaptor(InductorBase):
    """Compile with Inductor. A handle is ``(hash, path)``: the key that Inductor computed, and the
    path of the artifact relative to the cache folder.
    """

    name = "inductor"

    def compile(
        self,
        graph: fx.GraphModule,
        example_inputs: list[Any],
        compiler_config: dict[str, Any],
        compile_range: Range,
        key: str | None = None,
    ) -> tuple[Runnable | None, Any]:
        """Compile and save. ``key`` is not used. Shapes are as in the standalone adaptor."""
        if writes_shared_memory(graph, example_inputs) or has_traced_floats(graph):
            return graph, None  # uncompiled, like the eager compiler
        compiled, found, artifacts = _compile(graph, example_inputs, compiler_config, compile_range)
        runnable = InductorRunnable(compiled, output_structure(graph))
        if self.cache_dir is None or len(found) != 1 or not found[0] or artifacts is None:
            return runnable, None
        try:
            name = keep(self.cache_dir, found[0], lambda path: _write(path, artifacts))
        except OSError as error:
            logger.warning("The artifact cannot be saved, and is compiled anew: %s", error)
            return runnable, None
        return runnable, (found[0], name)

    def load(
        self,
        handle: Any,
        graph: fx.GraphModule,
        example_inputs: Sequence[Any],
        graph_index: int,
        compile_range: Range,
    ) -> Runnable:
        """Load the artifact; raises ValueError if it is corrupt or belongs to another graph."""
        with open(checked_path(self.cache_dir, handle), "rb") as file:
            loaded = torch.compiler.load_cache_artifacts(file.read())
        kept = loaded.inductor_artifacts if loaded is not None else []
        # the settings are part of the key, but ``load`` does not receive them
        context = current_pass_context()
        settings = context.compiler_config if context is not None else {}
        compiled, found, _ = _compile(graph, example_inputs, settings, compile_range)
        if found != kept:
            raise ValueError(f"Inductor knows this graph as {found}, and the artifact is of {kept}")
        return InductorRunnable(compiled, output_structure(graph))


def _compile(
    graph: fx.GraphModule,
    example_inputs: Sequence[Any],
    settings: Mapping[str, Any],
    compile_range: Range,
) -> tuple[Callable[..., Any], list[str], bytes | None]:
    """Return the callable, the keys that Inductor computed, and the cache entries."""
    found: list[str] = []

    def inner_compile(*args: Any, **kwargs: Any) -> Any:
        compiled = compile_fx_inner(*args, **kwargs)
        found.append(getattr(compiled, "_fx_graph_cache_key", None) or "")
        return compiled

    flat, _ = flatten_outputs(graph)
    constant = has_constant_shapes(example_inputs, compile_range)
    with ExitStack() as stack:
        if constant:  # shapes are constants: no symbol of the tracing context is of use
            fake_mode = FakeTensorMode(shape_env=ShapeEnv())
            stack.enter_context(tracing(TracingContext(fake_mode)))
        stack.enter_context(CacheArtifactManager.with_fresh_cache())
        stack.enter_context(inductor_config.patch(fx_graph_cache=True))
        # a hit in AOTAutograd's cache would not call ``inner_compile``
        stack.enter_context(functorch_config.patch(enable_autograd_cache=False))
        compiled: Any = compile_fx(
            copy.deepcopy(flat),
            list(example_inputs),
            inner_compile=inner_compile,
            config_patches=dict(settings),
            ignore_shape_env=constant,
        )
        saved = torch.compiler.save_cache_artifacts()
    return compiled, found, None if saved is None else saved[0]


def _write(path: str, content: bytes) -> None:
    with open(path, "wb") as file:
        file.write(content)
