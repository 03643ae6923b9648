"""``CompilerManager``: compile a piece for a range, or find that it has been compiled before."""

from __future__ import annotations

import copy
import logging
import os
import time
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx

from .. import env, events
from ..compilers.factory import make_compiler
from ..config.vllm_config import CompilationConfig, VllmConfig, own_settings
from ..fastpath.fx_building import lazy_module
from ..hashing import digest
from ..passes.pass_context import pass_context
from ..ranges import Range
from ..tracing.symbol_facts import SymbolFacts
from . import cache_file
from .graph_key import graph_key
from .sharing_key import sharing_key

logger = logging.getLogger(__name__)


def is_compile_cache_enabled(compiler_config: Mapping[str, Any]) -> bool:
    """Whether neither the environment, nor torch, nor the compiler's settings forbid a cache."""
    return not (
        env.DISABLE_COMPILE_CACHE.enabled()
        or torch.compiler.config.force_disable_caches
        or compiler_config.get("force_disable_caches", False)
    )


@dataclass(frozen=True)
class _Piece:
    """A piece to be made ready for one range, and what identifies it.

    ``key`` is the place of its cache entry. ``identity`` is one text for all that its code depends
    on; None if it cannot be cached.
    """

    graph: fx.GraphModule
    example_inputs: list[Any]
    settings: Mapping[str, Any]
    key: cache_file.Key
    identity: str | None


class CompilerManager:
    """Compiles through one compiler, and keeps a cache of what it compiled.

    ``cache`` maps ``(range, graph_index, compiler_name)`` to ``{"graph_handle", "cache_key"}``:
    the compiler's handle, and a digest that binds it to the graph that it was made from, the
    settings of the compiler and ``factors``, so that neither another graph nor another handle
    gets by. ``factors`` is a text for all else that the code depends on; a cache folder that the
    user named himself does not tell it. Seed: ``CompilerManager``.
    """

    factors: str = ""
    symbol_facts: SymbolFacts | None = None  # of the tracing; None: as each piece is described

    def __init__(self, compilation_config: CompilationConfig) -> None:
        self.compilation_config = compilation_config
        self.compiler = make_compiler(compilation_config)
        self.cache: dict[cache_file.Key, Any] = {}
        self.disable_cache = True  # until a folder is named
        self.cache_file_path = ""
        self._unsaved: dict[cache_file.Key, Any] = {}
        self._handles: dict[Hashable, Any] = {}  # of what was compiled here, for equal pieces
        self._announced: set[Range] = set()

    @property
    def is_cache_updated(self) -> bool:
        """Whether there are entries that no file holds yet."""
        return bool(self._unsaved)

    def compute_hash(self, vllm_config: VllmConfig) -> str:
        """What the compiler says of itself, and what no artifact survives: another torch, another
        kind of device.
        """
        return digest(self.compiler.compute_hash(vllm_config), str(torch.__version__), _device())

    @contextmanager
    def compile_context(
        self, compile_range: Range, compiler_config: Mapping[str, Any] | None = None
    ) -> Iterator[None]:
        """Open while a piece is compiled or loaded: what is global to torch, or to passes, and
        belongs to one compile. Seed: ``CompilerManager.compile_context``.
        """
        rules: Any = nullcontext()
        if self.compilation_config.use_inductor_graph_partition:
            # imports Inductor
            from ..compilers.inductor.partition_rules import inductor_partition_rule_context

            rules = inductor_partition_rule_context(self.compilation_config.splitting_ops)
        with pass_context(compile_range, compiler_config), rules:
            yield

    def initialize_cache(
        self, cache_dir: str, disable_cache: bool = False, prefix: str = ""
    ) -> None:
        """Read and keep the cache in ``cache_dir``; with ``disable_cache`` do neither."""
        self.disable_cache = disable_cache
        for kept in (self.cache, self._unsaved, self._handles):
            kept.clear()  # their handles lead into another folder
        self.cache_file_path = os.path.join(cache_dir, cache_file.FILE_NAME)
        if not disable_cache:
            self.cache = cache_file.read(self.cache_file_path).entries
        self.compiler.initialize_cache(cache_dir, disable_cache, prefix)

    def save_to_file(self) -> None:
        """Write what is new into the file, beside what other processes wrote there."""
        if self.disable_cache or not self._unsaved:
            return
        try:
            entries = cache_file.merge(self.cache_file_path, self._unsaved)
        except OSError as error:
            logger.warning("Cannot write the compile cache %s: %s", self.cache_file_path, error)
            return
        self._unsaved.clear()
        events.emit(events.CacheStore(len(entries), self.cache_file_path))

    def load(
        self,
        graph: fx.GraphModule,
        example_inputs: list[Any],
        graph_index: int,
        compile_range: Range,
        compiler_config: Mapping[str, Any] | None = None,
    ) -> Callable[..., Any] | None:
        """The callable cached for this graph in this place; None if there is none that is sound."""
        settings = compiler_config or {}
        with self.compile_context(compile_range, settings):
            return self._look_up(
                self._piece(graph, example_inputs, graph_index, compile_range, settings)
            )

    def compile(
        self,
        graph: fx.GraphModule,
        example_inputs: list[Any],
        additional_inductor_config: dict[str, Any],
        compilation_config: CompilationConfig,
        compile_range: Range,
        graph_index: int = 0,
        num_graphs: int = 1,
    ) -> Callable[..., Any]:
        """The callable for piece ``graph_index`` of ``num_graphs``: from the cache, from the
        artifact of an equal piece, or compiled.

        Adds the seconds it took to ``compilation_config.compilation_time``. A compile that fails
        raises, and leaves the cache as it was. Seed: ``CompilerManager.compile``.
        """
        start = time.perf_counter()
        with self.compile_context(compile_range, additional_inductor_config):
            piece = self._piece(
                graph, example_inputs, graph_index, compile_range, additional_inductor_config
            )
            runnable = self._look_up(piece)
            if runnable is None:
                place = self._place(piece)  # before a compiler can change the graph
                runnable = self._share(piece, place)
                if runnable is None:
                    runnable = self._compile(piece, place)
        compilation_config.compilation_time += time.perf_counter() - start
        if graph_index == num_graphs - 1 and compile_range not in self._announced:
            self._announced.add(compile_range)  # one line a range, not one a piece
            logger.info(
                "%d piece(s) ready for compile range %s; %.2f s of compiling so far",
                num_graphs,
                compile_range,
                compilation_config.compilation_time,
            )
        return runnable

    def _piece(
        self,
        graph: fx.GraphModule,
        example_inputs: list[Any],
        graph_index: int,
        compile_range: Range,
        settings: Mapping[str, Any],
    ) -> _Piece:
        """Describe a piece, before a compiler can change its graph."""
        identity = self._identity(graph, example_inputs, settings)
        key = (compile_range, graph_index, self.compiler.name)
        return _Piece(graph, example_inputs, settings, key, identity)

    def _identity(
        self, graph: fx.GraphModule, example_inputs: list[Any], compiler_config: Mapping[str, Any]
    ) -> str | None:
        """One text for all that the compiled code depends on; None if there is no such text."""
        try:
            settings = digest(dict(compiler_config))
        except TypeError as error:
            logger.warning("Nothing is cached, for the settings of the compiler: %s", error)
            return None
        return digest(graph_key(graph, example_inputs, self.symbol_facts), settings, self.factors)

    # -- the three ways to a callable ------------------------------------------------------------

    def _look_up(self, piece: _Piece) -> Callable[..., Any] | None:
        """The callable of the entry of ``piece``; None if there is none that is sound."""
        entry = self.cache.get(piece.key)
        if entry is None:
            return None
        compile_range, graph_index, compiler_name = piece.key
        try:
            handle = entry["graph_handle"]
            if entry["cache_key"] != _entry_digest(piece.identity, handle):
                logger.info("Piece %d is not the one that was cached as %s", graph_index, piece.key)
                return None
            loaded = self.compiler.load(
                handle, piece.graph, piece.example_inputs, graph_index, compile_range
            )
            if loaded is None:
                raise ValueError(f"there is nothing behind the handle {handle!r}")
        except Exception as error:
            # Whatever is wrong with an artifact, compiling again is right.
            logger.warning("Cannot load the cache entry %s, compiling again: %s", piece.key, error)
            return None
        events.emit(events.CacheHit(graph_index, compile_range, compiler_name))
        return loaded

    def _place(self, piece: _Piece) -> Hashable:
        """Where the handles of pieces equal to ``piece`` are; None if it shares with no other."""
        if piece.identity is None or not getattr(self.compiler, "shares_artifacts", False):
            return None
        shared = sharing_key(piece.graph, piece.example_inputs)
        compile_range, _, compiler_name = piece.key
        return None if shared is None else (compile_range, compiler_name, piece.identity, shared)

    def _share(self, piece: _Piece, place: Hashable) -> Callable[..., Any] | None:
        """The callable of the artifact that an equal piece was compiled to; None if there is none.

        ``piece`` gets an entry of its own, which is loaded like any other.
        """
        if place is None or place not in self._handles:
            return None
        self._store(piece, self._handles[place])
        runnable = self._look_up(piece)
        if runnable is None:
            del self.cache[piece.key], self._unsaved[piece.key], self._handles[place]
        return runnable

    def _compile(self, piece: _Piece, place: Hashable) -> Callable[..., Any]:
        """Compile ``piece``, and make an entry for it if it can be cached."""
        compile_range, graph_index, compiler_name = piece.key
        name = f"artifact_compile_range_{compile_range.start}_{compile_range.end}"
        runnable, handle = self.compiler.compile(
            _copy_to_change(piece.graph),
            piece.example_inputs,
            own_settings(piece.settings),  # it may take out what it has dealt with
            compile_range,
            f"{name}_subgraph_{graph_index}",
        )
        if runnable is None:
            raise RuntimeError(
                f"compiler {compiler_name!r} returned nothing for piece {graph_index}, "
                f"range {compile_range}"
            )
        saved = False
        if handle is not None and not self.disable_cache and piece.identity is not None:
            saved = self._store(piece, handle)
        if saved and place is not None:
            self._handles[place] = handle
        events.emit(events.Compile(graph_index, compile_range, compiler_name, saved))
        return runnable

    def _store(self, piece: _Piece, handle: Any) -> bool:
        """Make an entry for ``piece``; False, with a warning, if ``handle`` cannot be cached."""
        if not cache_file.is_literal(handle):
            logger.warning(
                "Not caching %s: the compiler returned a handle of type %s, and only Python "
                "literals can be cached",
                piece.key,
                type(handle).__qualname__,  # nothing that runs code of the handle
            )
            return False
        entry = {"graph_handle": handle, "cache_key": _entry_digest(piece.identity, handle)}
        self.cache[piece.key] = self._unsaved[piece.key] = entry
        return True


def _copy_to_change(graph: fx.GraphModule) -> fx.GraphModule:
    """``graph`` again, with the same parameters: a compiler may rewrite the one that it is given,
    and the next range is compiled from what was captured.
    """
    copied = lazy_module(graph, copy.deepcopy(graph.graph), type(graph).__name__)
    copied.meta.update(graph.meta)
    return copied


def _device() -> str:
    """The kinds of device that code is compiled for: names that another machine may share."""
    # Also where there is a GPU: a piece may be on either.
    cpu = f"cpu {torch.backends.cpu.get_cpu_capability()}"
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    if accelerator is None:
        return cpu
    module = torch.get_device_module(accelerator)
    known = [getattr(module, each, None) for each in ("get_device_name", "get_device_capability")]
    return " ".join([cpu, accelerator.type, *(str(tell()) for tell in known if tell is not None)])


def _entry_digest(identity: str | None, handle: Any) -> str:
    """The digest that binds a cache entry: of the piece's identity and the compiler's handle."""
    return digest(identity, handle)
