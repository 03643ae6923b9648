"""The reference as a subject, and likewise every mutant of it."""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import piecewise_reference

from ..options import Options
from ..subject import ABILITIES, Subject


def _version() -> str:
    try:
        return importlib.metadata.version("piecewise-conformance")
    except importlib.metadata.PackageNotFoundError:
        return ""


@contextmanager
def _environment(package: ModuleType, options: Options) -> Iterator[None]:
    """The reference takes its cache root, and whether it caches, from the environment."""
    env = package.env
    wanted = {
        env.CACHE_ROOT.name: options.cache_root or "",
        env.DISABLE_COMPILE_CACHE.name: "1" if options.cache_root is None else "0",
    }
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


def make(package: ModuleType, *, name: str, origin: str) -> Subject:
    """The subject that ``package``, the reference or a mutant of it, is."""

    def make_config(options: Options) -> Any:
        return package.VllmConfig(
            package.CompilationConfig(
                backend="inductor" if options.compiler == "own" else options.compiler,
                splitting_ops=list(options.splitting_ops),
                inductor_compile_config=dict(options.compiler_config),
                compile_sizes=list(options.compile_sizes),
                compile_ranges_endpoints=list(options.compile_ranges_endpoints),
                # copying is for captured graphs; without a forward context nothing is captured
                cudagraph_mode="FULL" if options.copy_inputs else "NONE",
                cudagraph_copy_inputs=options.copy_inputs,
                traced_files=set(options.traced_files),
            ),
            package.ParallelConfig(options.rank, options.data_parallel_index),
            options.max_num_batched_tokens,
        )

    def make_backend(options: Options) -> Callable[[Any, Any], Any]:
        backend = package.VllmBackend(make_config(options), options.prefix)

        def call(graph: Any, example_inputs: Any) -> Any:
            with _environment(package, options):
                return backend(graph, example_inputs)

        return call

    surface = {
        each: getattr(package, each)
        for each in (
            "split_graph",
            "Range",
            "CompilerManager",
            "make_compiler",
            "make_copy_and_call",
            "record_events",
        )
    }
    surface.update(make_config=make_config, make_backend=make_backend)
    return Subject(name, origin, surface, frozenset(ABILITIES), _version())


subject = make(piecewise_reference, name="reference", origin="reference")
