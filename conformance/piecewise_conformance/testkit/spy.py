"""A compiler that watches: what it is given, what is loaded, and which artifact serves which call.

It is handed to a subject by its qualified name. Its artifacts behave like real ones: loading a
handle gives the code of the graph that was compiled, so that a wrong hit computes a wrong result.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

NAME = "piecewise_conformance.testkit.spy.SpyCompiler"
OTHER_NAME = "piecewise_conformance.testkit.spy.OtherSpyCompiler"


@dataclass
class Call:
    """One compile or load: the graph and inputs given, and the range as (start, end).

    ``key`` is the handle of a load, which also has the ``index`` of its piece.
    """

    graph: Any
    inputs: list[Any]
    range: tuple[int, int]
    key: Any = None
    config: dict[str, Any] = field(default_factory=dict)
    # the fake mode of the tracing context in force, if there is one: compilers take it from there
    context_mode: Any = None
    # what the artifact was called with first
    arguments: tuple[Any, ...] | None = None
    index: int | None = None
    # where the compiler that was asked had been told to keep artifacts
    folder: str = ""
    # whether a CUDA graph was being captured
    in_capture: bool = False


@dataclass
class Log:
    """What the spy saw. ``runs`` has the range of each artifact that ran, in order."""

    compiles: list[Call] = field(default_factory=list)
    loads: list[Call] = field(default_factory=list)
    made: list[Any] = field(default_factory=list)  # handles
    runs: list[tuple[int, int]] = field(default_factory=list)
    # the same, with the numbers among what the artifact was called with
    served: list[tuple[tuple[int, int], tuple[int, ...]]] = field(default_factory=list)
    # what it was told before: the folder, whether the cache is off, the prefix
    opened: list[tuple[str, bool, str]] = field(default_factory=list)
    running: int = 0  # artifacts, at this moment
    # where the tensors lay that artifacts were called with
    addresses: set[int] = field(default_factory=set)
    # what the spy is to do
    fail: bool = False  # raise instead of compiling
    interrupt: bool = False  # as Ctrl-C while it compiles
    meanwhile: Callable[[], None] | None = None  # what happens in the first compile to come
    compile_nothing: bool = False  # give None for a graph
    fail_load: bool = False
    load_nothing: bool = False  # give None for what a handle stands for
    rewrites: bool = False  # the graph that it is given, once it is done with it
    takes: str = ""  # the setting that a compile takes out of what it is given
    handle: Callable[[int], Any] = lambda number: ("spy", f"artifact-{number}")


_log = Log()
_artifacts: dict[Any, Any] = {}  # by the name of the handle: what a disk would hold


def _name(handle: Any) -> Any:
    try:
        return repr(handle)
    except Exception:  # some handles of tests are like that
        return id(handle)


@contextmanager
def spying() -> Iterator[Log]:
    """A fresh log; artifacts of earlier ones stay loadable, as files would."""
    global _log
    before, _log = _log, Log()
    try:
        yield _log
    finally:
        _log = before


def _context_mode() -> Any:
    from torch._guards import TracingContext

    context = TracingContext.try_get()
    return context.fake_mode if context is not None else None


def _in_capture() -> bool:
    import torch

    try:
        return torch.cuda.is_current_stream_capturing()
    except RuntimeError:  # of a torch that was built without CUDA, where nothing is emulated
        return False


def _runnable(graph: Any, call: Call) -> Callable[..., Any]:
    def run(*args: Any) -> Any:
        _log.runs.append(call.range)
        _log.served.append((call.range, tuple(each for each in args if type(each) is int)))
        if call.arguments is None:
            call.arguments = args
        _log.addresses |= {each.data_ptr() for each in args if isinstance(each, Tensor)}
        _log.running += 1
        try:
            return graph(*args)
        finally:
            _log.running -= 1

    return run


def _rewrite(graph: Any) -> None:
    """Leave a graph that returns numbers, as a compiler may that lowers a graph in place."""
    output = graph.graph.output_node()
    output.args = (tuple(0 for _ in output.args[0]),)
    graph.graph.eliminate_dead_code()
    graph.recompile()


class SpyCompiler:
    """The seed's compiler interface, watched."""

    name = "spy"
    cache_dir = ""
    tells = "spy"

    def initialize_cache(
        self, cache_dir: str, disable_cache: bool = False, prefix: str = ""
    ) -> None:
        """Noted; its artifacts are in memory, so a folder is of no use."""
        self.cache_dir = cache_dir
        _log.opened.append((cache_dir, disable_cache, prefix))

    def compute_hash(self, vllm_config: Any) -> str:
        """What :func:`telling` says, which is always the same outside of it."""
        return self.tells

    def compile(
        self,
        graph: Any,
        example_inputs: list[Any],
        compiler_config: dict[str, Any],
        compile_range: Any,
        key: Any = None,
    ) -> tuple[Any, Any]:
        """A copy of the graph's code, and a handle to it."""
        from torch import fx

        ends = (compile_range.start, compile_range.end)
        call = Call(graph, list(example_inputs), ends, key, dict(compiler_config), _context_mode())
        call.folder = self.cache_dir
        call.in_capture = _in_capture()
        _log.compiles.append(call)
        compiler_config.pop(_log.takes, None)
        if (happening := _log.meanwhile) is not None:
            _log.meanwhile = None
            happening()
        if _log.interrupt:
            raise KeyboardInterrupt
        if _log.fail:
            raise RuntimeError("the spy was told to fail")
        if _log.compile_nothing:
            return None, None
        artifact = fx.GraphModule(graph, copy.deepcopy(graph.graph))
        handle = _log.handle(len(_artifacts))
        _artifacts[_name(handle)] = artifact
        _log.made.append(handle)
        if _log.rewrites:
            _rewrite(graph)
        return _runnable(artifact, call), handle

    def load(
        self,
        handle: Any,
        graph: Any,
        example_inputs: list[Any],
        graph_index: int,
        compile_range: Any,
    ) -> Any:
        """The code that was compiled under ``handle``; in another process, that of ``graph``."""
        ends = (compile_range.start, compile_range.end)
        if _log.fail_load:
            raise RuntimeError("the spy was told that the artifact is gone")
        if _log.load_nothing:
            return None
        call = Call(graph, list(example_inputs), ends, handle, index=graph_index)
        call.in_capture = _in_capture()
        _log.loads.append(call)
        return _runnable(_artifacts.get(_name(handle), graph), call)


class OtherSpyCompiler(SpyCompiler):
    """The same, by another name."""

    name = "other-spy"


class NamedSpyCompiler(SpyCompiler):
    """The same, by whatever name :func:`named` gives it."""


@contextmanager
def telling(text: str) -> Iterator[None]:
    """Every spy's hash of itself is ``text``, as that of another release would be."""
    before, SpyCompiler.tells = SpyCompiler.tells, text
    try:
        yield
    finally:
        SpyCompiler.tells = before


@contextmanager
def named(name: str) -> Iterator[str]:
    """The qualified name of a spy whose own name is ``name``."""
    NamedSpyCompiler.name = name
    try:
        yield f"{__name__}.{NamedSpyCompiler.__qualname__}"
    finally:
        NamedSpyCompiler.name = SpyCompiler.name
