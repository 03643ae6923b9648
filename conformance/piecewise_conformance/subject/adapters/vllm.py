"""The released vLLM as a subject: its parts as they are, made and called as vLLM makes them.

Nothing of vLLM is changed on disk. It runs on an out-of-tree platform (``vllm_platform.py``), which
becomes a plug-in of vLLM when this module is loaded (``vllm_plugin.py``). What vLLM did is derived
from a manager that watches: a subclass that takes the place of ``CompilerManager`` while a backend
is made.
"""

from __future__ import annotations

import importlib.metadata
import inspect
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from unittest import mock

from ...core.options import Options
from ..subject import ABILITIES, Subject
from . import vllm_plugin

vllm_plugin.activate()
os.environ["VLLM_USE_MEGA_AOT_ARTIFACT"] = "0"  # with it there is no cache file
os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")

import torch
from vllm import forward_context  # after the platform plug-in was activated
from vllm.compilation import backends, caching, counter, cuda_graph
from vllm.config import (
    CompilationConfig,
    CompilationMode,
    CUDAGraphMode,
    ParallelConfig,
    SchedulerConfig,
    VllmConfig,
)
from vllm.config.utils import Range
from vllm.platforms import current_platform
from vllm.utils import torch_utils

from ...emulation import weak_ref_tensor
from . import vllm_platform
from .derived import CacheHit, Capture, Compile, Replay, Split, emit, record_events
from .vllm_platform import inductor_pass

if not torch.cuda.is_available():
    # vLLM's own ask a compiled op, and keep one side stream a process: each emulation has its own
    torch_utils.weak_ref_tensor = weak_ref_tensor
    cuda_graph.current_stream = vllm_platform.side_stream


class WatchedManager(backends.CompilerManager):  # type: ignore[misc]  # vLLM is untyped here
    """Tells of every piece that it compiled or loaded."""

    def compile(self, *args: Any, **kwargs: Any) -> Any:
        """As vLLM's, and tell."""
        compile_range, piece = kwargs["compile_range"], kwargs["graph_index"]
        key = (compile_range, piece, self.compiler.name)
        self.loaded_last = False
        there = [*self.loaded_artifacts.values()]  # an equal piece is served by one of these
        compiled = super().compile(*args, **kwargs)
        if self.loaded_last or any(compiled is each for each in there):
            emit(CacheHit(piece, compile_range, self.compiler.name))
        else:
            emit(Compile(piece, compile_range, self.compiler.name, key in self.cache))
        return compiled

    def load(self, *args: Any, **kwargs: Any) -> Any:
        """As vLLM's; remember whether there was something."""
        loaded = super().load(*args, **kwargs)
        self.loaded_last = loaded is not None
        return loaded


class WatchedBackend(backends.VllmBackend):  # type: ignore[misc]  # as above
    """Tells of the split."""

    def __call__(self, graph: Any, example_inputs: Any) -> Any:
        """As vLLM's, and tell."""
        result = super().__call__(graph, example_inputs)
        splitting = sum(each.is_splitting_graph for each in self.piecewise_graphs)
        emit(Split(len(self.piecewise_graphs), splitting))
        return result


class WatchedWrapper(cuda_graph.CUDAGraphWrapper):  # type: ignore[misc]  # as above
    """Tells of captures and replays."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """As vLLM's, and tell."""
        if not forward_context.is_forward_context_available():
            return super().__call__(*args, **kwargs)
        batch = forward_context.get_forward_context()
        entry = self.concrete_cudagraph_entries.get(batch.batch_descriptor)
        kind = Capture if entry is None or entry.cudagraph is None else Replay
        result = super().__call__(*args, **kwargs)
        if batch.cudagraph_runtime_mode == self.runtime_mode:
            emit(kind(batch.batch_descriptor, self.runtime_mode.name))
        return result


# -- the surface ----------------------------------------------------------------------------------


@contextmanager
def environment(options: Options) -> Iterator[None]:
    """What vLLM takes from the environment and from its platform."""
    wanted = {"VLLM_DISABLE_COMPILE_CACHE": "1" if options.cache_root is None else "0"}
    if options.cache_root is not None:
        wanted["VLLM_CACHE_ROOT"] = options.cache_root
    if not options.standalone:
        wanted["VLLM_USE_STANDALONE_COMPILE"] = "0"
        if options.collect_artifacts:  # which vLLM refuses; with it alone there is no cache file
            wanted["VLLM_USE_MEGA_AOT_ARTIFACT"] = "1"
    compiler = mock.patch.object(vllm_platform.chosen, "compiler", options.compiler)
    with compiler, mock.patch.dict(os.environ, wanted):
        yield


def make_config(options: Options) -> Any:
    """``options`` as vLLM's config."""
    own = "inductor" if options.compiler == "own" else options.compiler
    backend = "" if "." in own else own  # the empty one is the platform's
    with environment(options):
        compilation = CompilationConfig(
            mode=CompilationMode.VLLM_COMPILE,
            backend=backend,
            splitting_ops=list(options.splitting_ops),
            use_inductor_graph_partition=options.partition_in_inductor,
            inductor_compile_config=dict(options.compiler_config),
            compile_sizes=list(options.compile_sizes),
            **{_ENDPOINTS: list(options.compile_ranges_endpoints)},
            cudagraph_mode=CUDAGraphMode[_mode(options)],
            cudagraph_copy_inputs=options.copy_inputs,
            compile_cache_save_format=options.save_format,
            dynamic_shapes_config={
                "type": options.dynamic_shapes.lower(),
                "evaluate_guards": options.evaluate_guards,
            },
        )
        config = VllmConfig(
            compilation_config=compilation,
            parallel_config=ParallelConfig(rank=options.rank),
            scheduler_config=SchedulerConfig(
                max_num_batched_tokens=options.max_num_batched_tokens,
                max_num_seqs=options.max_num_batched_tokens,
                max_model_len=options.max_num_batched_tokens,
                is_encoder_decoder=False,
            ),
        )
    # vLLM settles these for a model that it serves; here there is none
    config.parallel_config.rank = options.rank
    config.parallel_config.data_parallel_index = options.data_parallel_index
    compilation.backend = backend
    compilation.mode = CompilationMode.VLLM_COMPILE
    compilation.splitting_ops = list(options.splitting_ops)
    compilation.traced_files = set(options.traced_files)
    for name in vars(compilation.pass_config):
        if isinstance(getattr(compilation.pass_config, name), bool):
            setattr(compilation.pass_config, name, False)
    compilation.options = options  # what is no part of vLLM's config
    return config


def _mode(options: Options) -> str:
    # Copying is for captured graphs; without a forward context nothing is captured.
    if options.copy_inputs and options.cudagraph_mode == "NONE":
        return "FULL"
    return options.cudagraph_mode


# The seed's release calls them by another name.
_ENDPOINTS = (
    "compile_ranges_endpoints"
    if hasattr(CompilationConfig, "compile_ranges_endpoints")
    else "compile_ranges_split_points"
)

# Without this flag a manager of a later release neither loads nor saves; the seed has no such flag.
_LATER = "use_aot_compile" in inspect.signature(backends.CompilerManager).parameters
_AOT = {"use_aot_compile": True} if _LATER else {}


def make_manager(config: Any) -> Any:
    """A ``CompilerManager`` that loads and saves."""
    with environment(config.options):
        return backends.CompilerManager(config, **_AOT)


def make_compiler(config: Any) -> Any:
    """The compiler that the config names."""
    with environment(config.options):
        return backends.make_compiler(config, **_AOT)


def make_backend(options: Options) -> Callable[[Any, Any], Any]:
    """A ``VllmBackend``, watched."""
    config = make_config(options)
    with environment(options), mock.patch.object(backends, "CompilerManager", WatchedManager):
        backend = WatchedBackend(config, options.prefix)

    def call(graph: Any, example_inputs: Any) -> Any:
        with environment(options):
            return backend(graph, example_inputs)

    return call


@contextmanager
def set_forward_context(
    attn_metadata: Any, *, batch_descriptor: Any = None, cudagraph_runtime_mode: Any = None
) -> Iterator[None]:
    """vLLM's, with a config of its own."""
    with forward_context.set_forward_context(
        attn_metadata,
        VllmConfig(),
        cudagraph_runtime_mode=cudagraph_runtime_mode or CUDAGraphMode.NONE,
        batch_descriptor=batch_descriptor,
    ):
        yield


def use_static_graph_wrapper(qualified_name: str) -> AbstractContextManager[Any]:
    """Have the platform name another wrapper."""
    chosen: AbstractContextManager[Any] = mock.patch.object(
        vllm_platform.chosen, "static_graph_wrapper", qualified_name
    )
    return chosen


_SURFACE = {
    "split_graph": backends.split_graph,
    "Range": Range,
    "CompilerManager": make_manager,
    "make_compiler": make_compiler,
    "make_copy_and_call": backends.make_copy_and_call,
    "make_config": make_config,
    "make_backend": make_backend,
    "record_events": record_events,
    "set_model_tag": backends.set_model_tag,
    "compilation_counter": counter.compilation_counter,
    "InductorPass": inductor_pass.InductorPass,
    "pass_context": inductor_pass.pass_context,
    "get_pass_context": inductor_pass.get_pass_context,
    "pass_key": current_platform.pass_key,
    "StandaloneCompiledArtifacts": caching.StandaloneCompiledArtifacts,
    "CUDAGraphMode": CUDAGraphMode,
    "CUDAGraphWrapper": WatchedWrapper,
    "BatchDescriptor": forward_context.BatchDescriptor,
    "set_forward_context": set_forward_context,
    "use_static_graph_wrapper": use_static_graph_wrapper,
    "code_variables": {"VLLM_USE_STANDALONE_COMPILE": "0"},
}


subject = Subject(
    "vllm",
    "vllm",
    _SURFACE,
    frozenset(ABILITIES) - {"capture-sizes"},  # it checks them for a model that it serves
    importlib.metadata.version("vllm"),
)
