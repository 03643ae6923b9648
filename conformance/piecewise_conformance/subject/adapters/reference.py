"""The reference as a subject, and likewise every mutant of it."""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import ModuleType
from typing import Any

import piecewise_reference

from ...core.options import Options
from ..subject import ABILITIES, Subject

# What the reference calls as the seed does.
_SEED_NAMES = (
    "split_graph",
    "Range",
    "make_copy_and_call",
    "record_events",
    "set_model_tag",
    "set_on_compilation_complete",
    "compilation_counter",
    "InductorPass",
    "PostGradPassManager",
    "pass_context",
    "get_pass_context",
    "StandaloneCompiledArtifacts",
    "CUDAGraphMode",
    "CUDAGraphWrapper",
    "BatchDescriptor",
    "set_forward_context",
)


def _version() -> str:
    try:
        return importlib.metadata.version("piecewise-conformance")
    except importlib.metadata.PackageNotFoundError:
        return ""


def _flag(value: bool) -> str:
    return "1" if value else "0"


@contextmanager
def environment(package: ModuleType, options: Options) -> Iterator[None]:
    """The reference takes its cache root, and some choices, from the environment."""
    env = package.env
    wanted = {
        env.CACHE_ROOT.name: options.cache_root or "",
        env.DISABLE_COMPILE_CACHE.name: _flag(options.cache_root is None),
        env.USE_MEGA_AOT_ARTIFACT.name: _flag(options.collect_artifacts),
    }
    if not options.standalone:
        wanted[env.USE_STANDALONE_COMPILE.name] = "0"
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def config_for(package: ModuleType, options: Options) -> Any:
    """``options`` as the config of ``package``."""
    return package.VllmConfig(
        package.CompilationConfig(
            backend="inductor" if options.compiler == "own" else options.compiler,
            splitting_ops=list(options.splitting_ops),
            use_inductor_graph_partition=options.partition_in_inductor,
            inductor_compile_config=dict(options.compiler_config),
            dynamic_shapes_config=package.DynamicShapesConfig(
                options.dynamic_shapes, options.evaluate_guards
            ),
            compile_sizes=list(options.compile_sizes),
            compile_ranges_endpoints=list(options.compile_ranges_endpoints),
            cudagraph_mode=_cudagraph_mode(options),
            cudagraph_capture_sizes=list(options.cudagraph_capture_sizes),
            cudagraph_copy_inputs=options.copy_inputs,
            compile_cache_save_format=options.save_format,
            traced_files=set(options.traced_files),
        ),
        package.ParallelConfig(options.rank, options.data_parallel_index),
        options.max_num_batched_tokens,
    )


def _cudagraph_mode(options: Options) -> str:
    # Copying is for captured graphs; without a forward context nothing is captured.
    if options.copy_inputs and options.cudagraph_mode == "NONE":
        return "FULL"
    return options.cudagraph_mode


def make(package: ModuleType, *, name: str, origin: str) -> Subject:
    """The subject that ``package``, the reference or a mutant of it, is."""

    def make_config(options: Options) -> Any:
        config = config_for(package, options)
        # what of the options is no part of a config goes by the environment
        config.compilation_config.options = options
        return config

    def make_compiler(config: Any) -> Any:
        with environment(package, config.options):
            return package.make_compiler(config)

    def make_manager(config: Any) -> Any:
        with environment(package, config.options):
            return package.CompilerManager(config)

    def backend_with(config: Any, prefix: str) -> Callable[[Any, Any], Any]:
        options = config.compilation_config.options
        with environment(package, options):
            backend = package.VllmBackend(config, prefix)

        def call(graph: Any, example_inputs: Any) -> Any:
            with environment(package, options):
                return backend(graph, example_inputs)

        return call

    def make_backend(options: Options) -> Callable[[Any, Any], Any]:
        return backend_with(make_config(options), options.prefix)

    def serialize(function: Any, options: Options) -> bytes:
        with environment(package, options):
            made: bytes = package.serialize_compile_artifacts(function)
            return made

    def deserialize(data: bytes, options: Options) -> Any:
        with environment(package, options):
            return package.deserialize_compile_artifacts(data, make_config(options))

    def use_static_graph_wrapper(qualified_name: str) -> AbstractContextManager[None]:
        platform = package.Platform(static_graph_wrapper_cls=qualified_name)
        chosen: AbstractContextManager[None] = package.use_platform(platform)
        return chosen

    surface = {each: getattr(package, each) for each in _SEED_NAMES}
    surface.update(
        make_config=make_config,
        make_compiler=make_compiler,
        CompilerManager=make_manager,
        VllmBackend=backend_with,
        make_backend=make_backend,
        serialize=serialize,
        deserialize=deserialize,
        use_static_graph_wrapper=use_static_graph_wrapper,
        pass_key=package.current_platform().pass_key,
        code_variables={package.env.USE_STANDALONE_COMPILE.name: "0"},
    )
    return Subject(name, origin, surface, frozenset(ABILITIES), _version())


subject = make(piecewise_reference, name="reference", origin="reference")
