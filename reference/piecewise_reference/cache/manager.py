"""``CompilerManager``: load a piece for a range from the cache, or compile it."""

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
    """Whether the environment, torch and the compiler's settings all allow a cache."""
    return not (
        env.DISABLE_COMPILE_CACHE.enabled()
        or torch.compiler.config.force_disable_caches
        or compiler_config.get("force_disable_caches", False)
    )


@dataclass(frozen=True)
class _Piece:
    """A piece to compile or load for one range.

    ``key`` is the key of its cache entry. ``identity`` is a text that covers everything its code
    depends on; None if it cannot be cached.
    """

    graph: fx.GraphModule
    example_inputs: list[Any]
    settings: Mapping[str, Any]
    key: cache_file.Key
    identity: str | None


class CompilerManager:
    """Compile pieces with one compiler, and cache the artifacts.

    ``cache`` maps ``(range, graph_index, compiler_name)`` to ``{"graph_handle", "cache_key"}``: the
    compiler's handle, and a digest that binds it to its graph, the compiler's settings and
    ``factors``, so that neither another graph nor another handle is accepted. ``factors`` is a text
    that covers everything else the code depends on; the name of a cache folder chosen by the user
    does not cover it. Seed: ``CompilerManager``.
    """

    factors: str = ""
    symbol_facts: SymbolFacts | None = None  # of the trace; None: determined for each piece

    def __init__(self, compilation_config: CompilationConfig) -> None:
        self.compilation_config = compilation_config
        self.compiler = make_compiler(compilation_config)
        self.cache: dict[cache_file.Key, Any] = {}
        self.disable_cache = True  # until a folder is set
        self.cache_file_path = ""
        self._unsaved: dict[cache_file.Key, Any] = {}
        self._handles: dict[
            Hashable, Any
        ] = {}  # of pieces compiled by this manager, for equal pieces
        self._announced: set[Range] = set()

    @property
    def is_cache_updated(self) -> bool:
        """Whether some entries have not been saved to the file yet."""
        return bool(self._unsaved)

    def compute_hash(self, vllm_config: VllmConfig) -> str:
        """The compiler's own hash, combined with torch's version and the kind of device, since no
        artifact is valid for others.
        """
        return digest(self.compiler.compute_hash(vllm_config), str(torch.__version__), _device())

    @contextmanager
    def compile_context(
        self, compile_range: Range, compiler_config: Mapping[str, Any] | None = None
    ) -> Iterator[None]:
        """A context for one compile or load: it sets the global state of torch, and of passes, that
        belongs to this compile. Seed: ``CompilerManager.compile_context``.
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
        """Read the cache in ``cache_dir`` and use it; with ``disable_cache`` do neither."""
        self.disable_cache = disable_cache
        for kept in (self.cache, self._unsaved, self._handles):
            kept.clear()  # their handles belong to another folder
        self.cache_file_path = os.path.join(cache_dir, cache_file.FILE_NAME)
        if not disable_cache:
            self.cache = cache_file.read(self.cache_file_path).entries
        self.compiler.initialize_cache(cache_dir, disable_cache, prefix)

    def save_to_file(self) -> None:
        """Save new entries, and keep the entries that other processes wrote to the file."""
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
        """Load the callable cached for this graph, range and index; None without a valid entry."""
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
        """Return the callable for piece ``graph_index`` of ``num_graphs``: from the cache, from the
        artifact of an equal piece, or compiled.

        Adds the seconds to ``compilation_config.compilation_time``. A compile that fails raises
        the exception and leaves the cache unchanged. Seed: ``CompilerManager.compile``.
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
            self._announced.add(compile_range)  # one line for each range, not for each piece
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
        """A text that covers everything the compiled code depends on; None if there is none."""
        try:
            settings = digest(dict(compiler_config))
        except TypeError as error:
            logger.warning("Nothing is cached, for the settings of the compiler: %s", error)
            return None
        return digest(graph_key(graph, example_inputs, self.symbol_facts), settings, self.factors)

    # -- the three ways to a callable ------------------------------------------------------------

    def _look_up(self, piece: _Piece) -> Callable[..., Any] | None:
        """Load the entry of ``piece``; None without a valid entry."""
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
            # Whatever is wrong with an artifact, the piece can be compiled again.
            logger.warning("Cannot load the cache entry %s, compiling again: %s", piece.key, error)
            return None
        events.emit(events.CacheHit(graph_index, compile_range, compiler_name))
        return loaded

    def _place(self, piece: _Piece) -> Hashable:
        """The key under which equal pieces find their handles; None if ``piece`` cannot share."""
        if piece.identity is None or not getattr(self.compiler, "shares_artifacts", False):
            return None
        shared = sharing_key(piece.graph, piece.example_inputs)
        compile_range, _, compiler_name = piece.key
        return None if shared is None else (compile_range, compiler_name, piece.identity, shared)

    def _share(self, piece: _Piece, place: Hashable) -> Callable[..., Any] | None:
        """Load the artifact of an equal piece; None if there is none.

        ``piece`` gets its own entry, which is loaded like any other.
        """
        if place is None or place not in self._handles:
            return None
        self._store(piece, self._handles[place])
        runnable = self._look_up(piece)
        if runnable is None:
            del self.cache[piece.key], self._unsaved[piece.key], self._handles[place]
        return runnable

    def _compile(self, piece: _Piece, place: Hashable) -> Callable[..., Any]:
        """Compile ``piece``, and add an entry for it if it can be cached."""
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
        """Add an entry for ``piece``; False, with a warning, if ``handle`` cannot be cached."""
        if not cache_file.is_literal(handle):
            logger.warning(
                "Not caching %s: the compiler returned a handle of type %s, and only Python "
                "literals can be cached",
                piece.key,
                type(handle).__qualname__,  # no operation that runs code of the handle
            )
            return False
        entry = {"graph_handle": handle, "cache_key": _entry_digest(piece.identity, handle)}
        self.cache[piece.key] = self._unsaved[piece.key] = entry
        return True


def _copy_to_change(graph: fx.GraphModule) -> fx.GraphModule:
    """Copy ``graph`` for a compiler, which may rewrite it, since the next range is compiled from
    the captured graph. Parameters are shared.
    """
    copied = lazy_module(graph, copy.deepcopy(graph.graph), type(graph).__name__)
    copied.meta.update(graph.meta)
    return copied


def _device() -> str:
    """The kinds of device that code is compiled for, by names that other machines may share."""
    # The CPU counts also on a machine with a GPU: a piece may be on either.
    cpu = f"cpu {torch.backends.cpu.get_cpu_capability()}"
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    if accelerator is None:
        return cpu
    module = torch.get_device_module(accelerator)
    known = [getattr(module, each, None) for each in ("get_device_name", "get_device_capability")]
    return " ".join([cpu, accelerator.type, *(str(tell()) for tell in known if tell is not None)])


def _entry_digest(identity: str | None, handle: Any) -> str:
    """The digest of a cache entry, from the piece's identity and the compiler's handle."""
    return digest(identity, handle)
