"""A subject: the backend under test, seen through the public surface that it offers.

What a subject gives is a *surface*: some of the names of the seed (``split_graph``, ``Range``,
``CompilerManager``, ``make_compiler``, ``make_copy_and_call``, ``VllmBackend`` with
``make_config``), or a ``make_backend``. Here that surface is turned into *facets*, which check
the form of every answer, so that a test deals with what the answer says. A facet that the subject
lacks raises Unsupported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ..core.boundary import crossing, inside_subject
from ..core.options import Options
from ..core.verdict import NOT_OFFERED, Unsupported, Violation
from .event_trace import Trace
from .facets import Compiler, Manager, PlainRange, SplitResult, split_result

SURFACE = (
    "split_graph",
    "Range",
    "CompilerManager",
    "cache_file",
    "make_compiler",
    "make_copy_and_call",
    "make_config",
    "VllmBackend",
    "make_backend",
    "record_events",
    "set_model_tag",
    "set_on_compilation_complete",
    "compilation_counter",
    "InductorPass",
    "PostGradPassManager",
    "pass_context",
    "get_pass_context",
    "pass_key",
    "StandaloneCompiledArtifacts",
    "serialize",
    "deserialize",
    "CUDAGraphMode",
    "CUDAGraphWrapper",
    "BatchDescriptor",
    "set_forward_context",
    "use_static_graph_wrapper",
    "code_variables",
    "restart",
)

# What a whole backend may understand of Options beyond splitting; see ``Subject.backend``. With
# ``seed-layout`` its files, folders and errors also have the names and the form of the seed's.
ABILITIES = (
    "eager",
    "inductor",
    "splitting",
    "custom-compiler",
    "compile-ranges",
    "cache",
    "copy-inputs",
    "model-tag",
    "cudagraphs",
    "inductor-partition",
    "compile-fx",
    "unpacked-artifacts",
    "guards",
    "capture-sizes",
    "dynamic-shapes",
    "seed-layout",
)


@dataclass
class Subject:
    """The backend under test. ``surface`` maps names of SURFACE to what the subject offers.

    ``adapter`` is the file that hands it on, where there is one, and ``file`` the one that
    ``--backend`` names.
    """

    name: str
    origin: str
    surface: Mapping[str, Any]
    abilities: frozenset[str] = frozenset()
    version: str = ""
    adapter: str = ""
    file: str = ""

    def get(self, name: str) -> Any:
        """``name`` of SURFACE; raises Unsupported if the subject does not offer it."""
        try:
            return self.surface[name]
        except KeyError:
            raise Unsupported(f"{NOT_OFFERED} {name}") from None

    def offers(self, name: str) -> bool:
        """Whether the subject has ``name`` of SURFACE."""
        return name in self.surface

    def can(self, ability: str) -> bool:
        """Whether the subject's whole backend understands ``ability`` of ABILITIES."""
        return ability in self.abilities

    def need(self, *abilities: str) -> None:
        """Raise Unsupported unless the subject has all of ``abilities``."""
        missing = [each for each in abilities if each not in self.abilities]
        if missing:
            raise Unsupported(f"{NOT_OFFERED} the abilities {', '.join(missing)}")

    # -- facets ---------------------------------------------------------------------------------

    def split(self, graph: Any, splitting_ops: Sequence[str]) -> SplitResult:
        """``split_graph``, with the form of its answer checked."""
        function = self.get("split_graph")
        with inside_subject("split_graph"):
            answer = function(graph, list(splitting_ops))
        return split_result(answer)

    def range(self, start: Any, end: Any) -> Any:
        """A ``Range``; exceptions of its constructor are the subject's."""
        cls = self.get("Range")
        with inside_subject("Range"):
            made = cls(start=start, end=end)
        if not (hasattr(made, "start") and hasattr(made, "end")):
            raise Violation("Range returned an object without start and end", got=repr(made)[:200])
        return made

    def _range_maker(self) -> Callable[[Any, Any], Any]:
        return self.range if self.offers("Range") else PlainRange

    def config(self, options: Options) -> Any:
        """The subject's own config for ``options``."""
        make_config = self.get("make_config")
        return _make(make_config, options, "make_config")

    def manager(self, options: Options) -> Manager:
        """A fresh ``CompilerManager``."""
        cls, config = self.get("CompilerManager"), self.config(options)
        with inside_subject("CompilerManager"):
            inner = cls(getattr(config, "compilation_config", config))
        return Manager(inner, config, self._range_maker())

    def compiler(self, options: Options) -> Compiler:
        """A fresh compiler from ``make_compiler``."""
        self.need(*(ability for asked, ability in _asked(options) if asked))
        make, config = self.get("make_compiler"), self.config(options)
        with inside_subject("make_compiler"):
            inner = make(getattr(config, "compilation_config", config))
        return Compiler(inner, config, self._range_maker())

    def copy_and_call(
        self, indices: Sequence[int], buffers: Sequence[Any], function: Callable[..., Any]
    ) -> Callable[..., Any]:
        """``make_copy_and_call``; calls of the result are inside the boundary."""
        make = self.get("make_copy_and_call")
        with inside_subject("make_copy_and_call"):
            wrapped = make(list(indices), list(buffers), function)
        if not callable(wrapped):
            raise Violation("make_copy_and_call did not return a callable", got=repr(wrapped)[:200])
        return crossing("the copying callable", wrapped)

    def backend(self, options: Options) -> Callable[[Any, Any], Any]:
        """A fresh ``torch.compile`` backend; abilities that ``options`` ask for are checked."""
        self.check_offers(options)
        if self.offers("make_backend"):
            backend = _make(self.surface["make_backend"], options, "make_backend")
        else:
            cls, config = self.get("VllmBackend"), self.config(options)
            with inside_subject("VllmBackend"):
                backend = cls(config, options.prefix)
        if not callable(backend):
            raise Violation("make_backend did not return a callable", got=repr(backend)[:200])
        return crossing("the backend", backend)

    def check_offers(self, options: Options) -> None:
        """Raise Unsupported unless there is a backend that understands ``options``."""
        if not (self.offers("make_backend") or self.offers("VllmBackend")):
            raise Unsupported(f"{NOT_OFFERED} make_backend")
        wanted = []
        if options.compiler in ("eager", "inductor"):
            wanted.append(options.compiler)
        elif options.compiler != "own":
            wanted.append("custom-compiler")
        if options.compile_sizes or options.compile_ranges_endpoints:
            wanted.append("compile-ranges")
        if options.cache_root is not None:
            wanted.append("cache")
        wanted += [ability for asked, ability in _asked(options) if asked]
        self.need(*wanted)

    def restart(self) -> None:
        """A start of the subject begins, which stands for a new process: what it keeps in memory
        for the whole process is forgotten, if it has such.
        """
        if self.offers("restart"):
            self.call("restart")

    def call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """``name`` of SURFACE called; exceptions are the subject's."""
        function = self.get(name)
        with inside_subject(name):
            return function(*args, **kwargs)

    @contextmanager
    def context(self, name: str, *args: Any, **kwargs: Any) -> Iterator[Any]:
        """``name`` of SURFACE as a context: entering and leaving it are the subject's."""
        manager = self.call(name, *args, **kwargs)
        with inside_subject(f"entering {name}"):
            value = manager.__enter__()
        try:
            yield value
        except BaseException as error:
            with inside_subject(f"leaving {name}"):
                swallowed = manager.__exit__(type(error), error, error.__traceback__)
            if swallowed:
                raise Violation(f"{name} swallows an exception", got=repr(error)[:200]) from None
            raise
        with inside_subject(f"leaving {name}"):
            manager.__exit__(None, None, None)

    @contextmanager
    def events(self) -> Iterator[Callable[[], Trace]]:
        """Record what the subject does inside; the callable gives the trace so far."""
        record = self.get("record_events")
        with record() as events:
            yield lambda: Trace(events)


def _asked(options: Options) -> list[tuple[bool, str]]:
    """What of ``options`` asks for an ability, and the ability."""
    return [
        (options.copy_inputs, "copy-inputs"),
        (not options.prefix, "model-tag"),
        (options.cudagraph_mode != "NONE", "cudagraphs"),
        (options.partition_in_inductor, "inductor-partition"),
        (not options.standalone, "compile-fx"),
        (options.save_format != "binary", "unpacked-artifacts"),
        (options.evaluate_guards, "guards"),
        (bool(options.cudagraph_capture_sizes), "capture-sizes"),
        (options.dynamic_shapes != "BACKED", "dynamic-shapes"),
    ]


def _make(function: Callable[[Options], Any], options: Options, what: str) -> Any:
    with inside_subject(what):
        try:
            return function(options)
        except NotImplementedError as error:
            raise Unsupported(f"the subject's {what} declined: {error}") from error
