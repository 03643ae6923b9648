"""The released SGLang as a subject: its parts as they are, made and called as SGLang makes them.

Nothing of SGLang is changed on disk. It knows no ranges: a piece is compiled once for all sizes
and, by its manager, for single ones. So a range of one size is that size, any other stands for
all sizes, and what asks for two such ranges is unsupported. It loads nothing that it cached, so
that its whole backend does not claim to cache; its manager is judged by what it does.
"""
# ruff: noqa: E402  SGLang is imported after the module that stands in for one of its own

from __future__ import annotations

import copy
import importlib.metadata
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any

import torch
from torch import distributed

from ...core.options import Options
from ...core.verdict import Unsupported
from ..facets import PlainRange
from ..subject import Subject
from . import derived

_WEAK_REF = "sglang.srt.model_executor.runner_backend_utils.weak_ref_tensor"


def _stand_in() -> ModuleType:
    """SGLang's own module raises without a GPU; what is not captured needs no weak reference."""
    module = ModuleType(_WEAK_REF)
    vars(module).update(weak_ref_tensor=lambda tensor: tensor, weak_ref_tensors=lambda all_: all_)
    return module


if not torch.cuda.is_available():
    sys.modules.setdefault(_WEAK_REF, _stand_in())

from sglang.srt.compilation import backend, compilation_config, compilation_counter
from sglang.srt.compilation.compiler_interface import CompilerInterface
from sglang.srt.environ import envs

ABILITIES = ("eager", "inductor", "splitting", "custom-compiler", "seed-layout")


# -- SGLang's terms and the seed's ----------------------------------------------------------------


def op_names(splitting_ops: Sequence[str]) -> list[str]:
    """``ns::op`` as SGLang spells it. It compares text, so each overload is a name of its own."""
    names = []
    for each in splitting_ops:
        name = each.replace("::", ".")
        names.append(name)
        namespace, _, op = each.partition("::")
        packet: Any = getattr(getattr(torch.ops, namespace), op, None) if op else None
        overloads = packet.overloads() if hasattr(packet, "overloads") else ()
        names += [f"{name}.{overload}" for overload in overloads]
    return names


class Shapes:
    """Ranges as SGLang's ``runtime_shape``: an int for a single size, None for all sizes."""

    # A file of SGLang's does not tell which range its "all sizes" were asked for as.
    last = PlainRange(1, sys.maxsize)

    def __init__(self) -> None:
        self.general, self.asked = Shapes.last, False

    def shape(self, wanted: Any) -> int | None:
        """The shape for a range; Unsupported if it is a second range of several sizes."""
        if wanted.start == wanted.end:
            return int(wanted.start)
        ends = PlainRange(wanted.start, wanted.end)
        if self.asked and ends != self.general:
            raise Unsupported("SGLang compiles for all sizes or for a single size, not for ranges")
        self.general = Shapes.last = ends
        self.asked = True
        return None

    def range(self, shape: int | None) -> PlainRange:
        """The range that a shape stands for."""
        return self.general if shape is None else PlainRange(shape, shape)


class SeedCompiler:
    """A compiler of SGLang's with the seed's interface."""

    def __init__(self, inner: Any) -> None:
        self.inner, self.name, self.shapes = inner, inner.name, Shapes()

    def initialize_cache(
        self, cache_dir: str, disable_cache: bool = False, prefix: str = ""
    ) -> None:
        """As SGLang's."""
        self.inner.initialize_cache(cache_dir, disable_cache, prefix)

    def compute_hash(self, vllm_config: Any) -> Any:
        """SGLang's, which asks for no config."""
        return self.inner.compute_hash()

    def compile(self, graph: Any, inputs: Any, config: Any, ends: Any, key: Any = None) -> Any:
        """As SGLang's."""
        return self.inner.compile(graph, inputs, config, self.shapes.shape(ends), key)

    def load(self, handle: Any, graph: Any, inputs: Any, index: int, ends: Any) -> Any:
        """As SGLang's."""
        return self.inner.load(handle, graph, inputs, index, self.shapes.shape(ends))


class GivenCompiler(CompilerInterface):  # type: ignore[misc]  # SGLang need not be installed
    """A compiler with the seed's interface, as SGLang calls one."""

    def __init__(self, inner: Any, shapes: Shapes) -> None:
        self.inner, self.name, self.shapes = inner, inner.name, shapes

    def initialize_cache(
        self, cache_dir: str, disable_cache: bool = False, prefix: str = ""
    ) -> None:
        """Passed on."""
        self.inner.initialize_cache(cache_dir, disable_cache, prefix)

    def compute_hash(self) -> str:
        """Passed on; there is no config to give."""
        return str(self.inner.compute_hash(None))

    def compile(
        self, graph: Any, example_inputs: Any, compiler_config: Any, runtime_shape: Any, key: Any
    ) -> Any:
        """Passed on."""
        ends = self.shapes.range(runtime_shape)
        return self.inner.compile(graph, list(example_inputs), compiler_config, ends, key)

    def load(
        self, handle: Any, graph: Any, example_inputs: Any, graph_index: int, runtime_shape: Any
    ) -> Any:
        """Passed on."""
        ends = self.shapes.range(runtime_shape)
        return self.inner.load(handle, graph, list(example_inputs), graph_index, ends)


class Manager(backend.CompilerManager):  # type: ignore[misc]  # as above
    """SGLang's, which tells of every compile."""

    def compile(self, *args: Any, **kwargs: Any) -> Any:
        """As SGLang's, and tell."""
        compiled = super().compile(*args, **kwargs)
        piece, shape, name = kwargs["graph_index"], kwargs["runtime_shape"], self.compiler.name
        saved = (shape, piece, name) in self.cache
        derived.emit(derived.Compile(piece, self.shapes.range(shape), name, saved))
        return compiled


class SeedManager:
    """SGLang's manager with the seed's signatures."""

    def __init__(self, config: Any) -> None:
        self.inner = make_manager(config)
        self.compiler = self.inner.compiler

    def initialize_cache(
        self, cache_dir: str, disable_cache: bool = False, prefix: str = ""
    ) -> None:
        """As SGLang's."""
        self.inner.initialize_cache(cache_dir, disable_cache, prefix)

    def save_to_file(self) -> None:
        """As SGLang's."""
        self.inner.save_to_file()

    def load(self, graph: Any, inputs: Any, index: int, ends: Any) -> Any:
        """As SGLang's."""
        return self.inner.load(graph, inputs, index, self.inner.shapes.shape(ends))

    def compile(
        self, graph: Any, inputs: Any, settings: Any, _: Any, ends: Any, index: int, count: int
    ) -> Any:
        """As SGLang's, which wants no config."""
        shape = self.inner.shapes.shape(ends)
        return self.inner.compile(
            graph, inputs, settings, graph_index=index, num_graphs=count, runtime_shape=shape
        )


# -- the surface ----------------------------------------------------------------------------------


def make_config(options: Options) -> Any:
    """``options`` as SGLang's config."""
    own = "inductor" if options.compiler == "own" else options.compiler
    config = compilation_config.CompilationConfig([], "eager" if "." in own else own)
    config.split_ops = op_names(options.splitting_ops)
    config.traced_files = set(options.traced_files)
    config.options = options  # what is no part of SGLang's config
    return config


def _given(config: Any) -> Any:
    """The compiler that is given by its qualified name; None if SGLang has one of that name."""
    module, _, name = config.options.compiler.rpartition(".")
    return getattr(import_module(module), name)() if module else None


def make_manager(config: Any) -> Any:
    """SGLang's manager, watched, with the compiler that the config names."""
    manager = Manager(config)
    manager.shapes = Shapes()
    if (given := _given(config)) is not None:
        manager.compiler = GivenCompiler(given, manager.shapes)
    return manager


def make_compiler(config: Any) -> Any:
    """The compiler that the config names."""
    return _given(config) or SeedCompiler(backend.make_compiler(config))


@contextmanager
def process_group() -> Iterator[None]:
    """SGLang asks for the rank of its process, and so wants a process group."""
    if distributed.is_initialized():
        yield
        return
    store = distributed.HashStore()  # type: ignore[attr-defined]  # not declared, and public
    distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        yield
    finally:
        distributed.destroy_process_group()


@contextmanager
def cache_dir(folder: str) -> Iterator[None]:
    """SGLang keeps a cache, wanted or not, and takes its root from the environment."""
    name = envs.SGLANG_CACHE_DIR.name
    before = os.environ.get(name)
    os.environ[name] = folder
    try:
        yield
    finally:
        del os.environ[name]
        if before is not None:
            os.environ[name] = before


def make_backend(options: Options) -> Callable[[Any, Any], Any]:
    """An ``SGLangBackend``, watched, in a folder of its own."""
    config = make_config(options)
    made = backend.SGLangBackend(config, graph_pool=object())
    made.compiler_manager = make_manager(config)
    made.compiler_manager.shapes.general = PlainRange(1, options.max_num_batched_tokens)
    made.inductor_config.update(copy.deepcopy(dict(options.compiler_config)))
    made.folder = tempfile.TemporaryDirectory()  # lives as long as the pieces, which write there

    def call(graph: Any, example_inputs: Any) -> Any:
        with cache_dir(made.folder.name), process_group():
            stitched = made(graph, example_inputs)
        pieces = made.piecewise_graphs
        splitting = sum(each.is_splitting_graph for each in pieces)
        derived.emit(derived.Split(len(pieces), splitting))
        return stitched

    return call


def split_graph(graph: Any, splitting_ops: Sequence[str]) -> Any:
    """SGLang's, with the names of ops in its spelling."""
    return backend.split_graph(graph, op_names(splitting_ops))


subject = Subject(
    "sglang",
    "sglang",
    {
        "split_graph": split_graph,
        "CompilerManager": SeedManager,
        "cache_file": "sglang_compile_cache.py",
        "make_compiler": make_compiler,
        "make_config": make_config,
        "make_backend": make_backend,
        "record_events": derived.record_events,
        "compilation_counter": compilation_counter.compilation_counter,
    },
    frozenset(ABILITIES),
    importlib.metadata.version("sglang"),
)
