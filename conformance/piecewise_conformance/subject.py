"""A subject: the backend under test, seen through the public surface that it offers.

What a subject gives is a *surface*: some of the names of the seed (``split_graph``, ``Range``,
``CompilerManager``, ``make_compiler``, ``make_copy_and_call``, ``VllmBackend`` with
``make_config``), or a ``make_backend``. Here that surface is turned into *facets*, which check
the form of every answer, so that a test deals with what the answer says. A facet that the subject
lacks raises Unsupported.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from .boundary import crossing, inside_subject
from .options import Options
from .trace import Trace
from .verdict import Unsupported, Violation

SURFACE = (
    "split_graph",
    "Range",
    "CompilerManager",
    "make_compiler",
    "make_copy_and_call",
    "make_config",
    "VllmBackend",
    "make_backend",
    "record_events",
)

# What a whole backend may understand of Options beyond splitting; see ``Subject.backend``.
ABILITIES = (
    "eager",
    "inductor",
    "splitting",
    "custom-compiler",
    "compile-ranges",
    "cache",
    "copy-inputs",
)


@dataclass(frozen=True)
class Piece:
    """One piece of a split graph, as the subject described it."""

    name: str
    graph_id: int
    is_splitting: bool
    graph: Any  # fx.GraphModule; torch is imported late


@dataclass(frozen=True)
class SplitResult:
    """The split graph, and its pieces in the order in which the subject listed them."""

    gm: Any
    pieces: tuple[Piece, ...]


@dataclass
class Subject:
    """The backend under test. ``surface`` maps names of SURFACE to what the subject offers."""

    name: str
    origin: str
    surface: Mapping[str, Any]
    abilities: frozenset[str] = frozenset()
    version: str = ""

    def get(self, name: str) -> Any:
        """``name`` of SURFACE; raises Unsupported if the subject does not offer it."""
        try:
            return self.surface[name]
        except KeyError:
            raise Unsupported(f"the subject offers no {name}") from None

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
            raise Unsupported(f"the subject's backend does not offer: {', '.join(missing)}")

    # -- facets ---------------------------------------------------------------------------------

    def split(self, graph: Any, splitting_ops: Sequence[str]) -> SplitResult:
        """``split_graph``, with the form of its answer checked."""
        from torch import fx

        function = self.get("split_graph")
        with inside_subject("split_graph"):
            answer = function(graph, list(splitting_ops))
        if not isinstance(answer, (tuple, list)) or len(answer) != 2:
            raise Violation(
                "split_graph returned something else than (split graph, items)",
                expected="a tuple of a GraphModule and a list of items",
                got=repr(answer)[:200],
            )
        gm, items = answer
        if not isinstance(gm, fx.GraphModule) or not isinstance(items, (tuple, list)):
            raise Violation(
                "split_graph returned something else than (split graph, items)",
                expected="a GraphModule and a list",
                got=f"{type(gm).__name__} and {type(items).__name__}",
            )
        return SplitResult(gm, tuple(_piece(item) for item in items))

    def range(self, start: Any, end: Any) -> Any:
        """A ``Range``; exceptions of its constructor are the subject's."""
        cls = self.get("Range")
        with inside_subject("Range"):
            made = cls(start=start, end=end)
        if not (hasattr(made, "start") and hasattr(made, "end")):
            raise Violation("Range made something without start and end", got=repr(made)[:200])
        return made

    def config(self, options: Options) -> Any:
        """The subject's own config for ``options``."""
        make_config = self.get("make_config")
        return _make(make_config, options, "make_config")

    def manager(self, options: Options) -> Manager:
        """A fresh ``CompilerManager``."""
        cls, config = self.get("CompilerManager"), self.config(options)
        with inside_subject("CompilerManager"):
            inner = cls(getattr(config, "compilation_config", config))
        return Manager(self, inner, config)

    def compiler(self, options: Options) -> Compiler:
        """A fresh compiler from ``make_compiler``."""
        make, config = self.get("make_compiler"), self.config(options)
        with inside_subject("make_compiler"):
            inner = make(getattr(config, "compilation_config", config))
        return Compiler(self, inner, config)

    def copy_and_call(
        self, indices: Sequence[int], buffers: Sequence[Any], function: Callable[..., Any]
    ) -> Callable[..., Any]:
        """``make_copy_and_call``; calls of the result are inside the boundary."""
        make = self.get("make_copy_and_call")
        with inside_subject("make_copy_and_call"):
            wrapped = make(list(indices), list(buffers), function)
        if not callable(wrapped):
            raise Violation("make_copy_and_call returned no callable", got=repr(wrapped)[:200])
        return crossing("the copying callable", wrapped)

    def backend(self, options: Options) -> Callable[[Any, Any], Any]:
        """A fresh ``torch.compile`` backend; abilities that ``options`` ask for are checked."""
        self._check_abilities(options)
        if self.offers("make_backend"):
            backend = _make(self.surface["make_backend"], options, "make_backend")
        else:
            cls, config = self.get("VllmBackend"), self.config(options)
            with inside_subject("VllmBackend"):
                backend = cls(config, options.prefix)
        if not callable(backend):
            raise Violation("make_backend returned no callable", got=repr(backend)[:200])
        return crossing("the backend", backend)

    def _check_abilities(self, options: Options) -> None:
        if not (self.offers("make_backend") or self.offers("VllmBackend")):
            raise Unsupported("the subject offers no make_backend")
        wanted = []
        if options.compiler in ("eager", "inductor"):
            wanted.append(options.compiler)
        elif options.compiler != "own":
            wanted.append("custom-compiler")
        if options.compile_sizes or options.compile_ranges_endpoints:
            wanted.append("compile-ranges")
        if options.cache_root is not None:
            wanted.append("cache")
        if options.copy_inputs:
            wanted.append("copy-inputs")
        self.need(*wanted)

    @contextmanager
    def events(self) -> Iterator[Callable[[], Trace]]:
        """Record what the subject does inside; the callable gives the trace so far."""
        record = self.get("record_events")
        with record() as events:
            yield lambda: Trace(events)


def _make(function: Callable[[Options], Any], options: Options, what: str) -> Any:
    with inside_subject(what):
        try:
            return function(options)
        except NotImplementedError as error:
            raise Unsupported(f"the subject's {what} declined: {error}") from error


def _piece(item: Any) -> Piece:
    from torch import fx

    try:
        piece = Piece(item.submod_name, item.graph_id, item.is_splitting_graph, item.graph)
    except AttributeError as error:
        raise Violation(
            "an item of split_graph lacks an attribute of SplitItem",
            expected="submod_name, graph_id, is_splitting_graph, graph",
            got=str(error),
        ) from None
    if not (
        isinstance(piece.name, str)
        and isinstance(piece.graph_id, int)
        and isinstance(piece.is_splitting, bool)
        and isinstance(piece.graph, fx.GraphModule)
    ):
        raise Violation(
            "an item of split_graph has an attribute of another type",
            expected="str, int, bool, GraphModule",
            got=", ".join(type(v).__name__ for v in vars(piece).values()),
        )
    return piece


class Manager:
    """The manager facet: one ``CompilerManager``, asked in plain terms. Ranges are (start, end)."""

    def __init__(self, subject: Subject, inner: Any, config: Any) -> None:
        self.subject, self.inner, self.config = subject, inner, config

    def open(self, cache_dir: Any, *, disable: bool = False, prefix: str = "") -> Manager:
        """``initialize_cache``; returns itself."""
        with inside_subject("initialize_cache"):
            self.inner.initialize_cache(str(cache_dir), disable, prefix)
        return self

    def compile(
        self,
        graph: Any,
        inputs: Sequence[Any],
        range: tuple[int, int],
        index: int = 0,
        count: int = 1,
    ) -> Callable[..., Any]:
        """``compile``: from the cache, or by the compiler."""
        with inside_subject("CompilerManager.compile"):
            runnable = self.inner.compile(
                graph,
                list(inputs),
                {},
                getattr(self.config, "compilation_config", self.config),
                self.subject.range(*range),
                index,
                count,
            )
        if not callable(runnable):
            raise Violation("compile returned no callable", got=repr(runnable)[:200])
        return crossing("a compiled piece", runnable)

    def load(
        self, graph: Any, inputs: Sequence[Any], range: tuple[int, int], index: int = 0
    ) -> Callable[..., Any] | None:
        """``load``: the cached callable, or None."""
        with inside_subject("CompilerManager.load"):
            runnable = self.inner.load(graph, list(inputs), index, self.subject.range(*range))
        return None if runnable is None else crossing("a loaded piece", runnable)

    def save(self) -> None:
        """``save_to_file``."""
        with inside_subject("save_to_file"):
            self.inner.save_to_file()

    def keys(self) -> set[tuple[tuple[int, int], int, str]]:
        """The keys of ``cache``, with ranges as (start, end)."""
        with inside_subject("CompilerManager.cache"):
            return {((each.start, each.end), index, name) for each, index, name in self.inner.cache}


class Compiler:
    """The compiler facet: one object with the seed's compiler interface."""

    def __init__(self, subject: Subject, inner: Any, config: Any) -> None:
        self.subject, self.inner, self.config = subject, inner, config

    def open(self, cache_dir: Any, *, disable: bool = False) -> Compiler:
        """``initialize_cache``; returns itself."""
        with inside_subject("initialize_cache"):
            self.inner.initialize_cache(str(cache_dir), disable, "")
        return self

    def compile(
        self, graph: Any, inputs: Sequence[Any], range: tuple[int, int], key: str = "artifact"
    ) -> tuple[Callable[..., Any], Any]:
        """``compile``: (callable, handle)."""
        with inside_subject("compile"):
            answer = self.inner.compile(graph, list(inputs), {}, self.subject.range(*range), key)
        if not isinstance(answer, tuple) or len(answer) != 2 or not callable(answer[0]):
            raise Violation(
                "compile returned something else than (callable, handle)", got=repr(answer)[:200]
            )
        return crossing("a compiled graph", answer[0]), answer[1]

    def load(
        self, handle: Any, graph: Any, inputs: Sequence[Any], range: tuple[int, int]
    ) -> Callable[..., Any]:
        """``load``: the callable that ``handle`` stands for."""
        with inside_subject("load"):
            runnable = self.inner.load(handle, graph, list(inputs), 0, self.subject.range(*range))
        if not callable(runnable):
            raise Violation("load returned no callable", got=repr(runnable)[:200])
        return crossing("a loaded graph", runnable)


# -- rungs: what an author has, turned into a subject ---------------------------------------------


def from_object(found: Any, *, name: str, origin: str) -> Subject:
    """The subject that ``found`` is or describes; TypeError if it is nothing of the kind."""
    if isinstance(found, Subject):
        return found
    if callable(found) and isinstance(built := getattr(found, "subject", None), Subject):
        return built
    surface = {each: getattr(found, each) for each in SURFACE if hasattr(found, each)}
    if isinstance(built := getattr(found, "subject", None), Subject):
        return built
    if surface:
        declared = getattr(found, "ABILITIES", None)
        abilities = frozenset(_DEFAULT_ABILITIES(surface) if declared is None else declared)
        if unknown := abilities - set(ABILITIES):
            raise TypeError(
                f"ABILITIES of {origin} has {sorted(unknown)}; known are {', '.join(ABILITIES)}"
            )
        return Subject(name, origin, surface, abilities, str(getattr(found, "__version__", "")))
    if _is_compiler(found):
        from .subjects.compiler_rung import make

        return make(found, name=name, origin=origin)
    raise TypeError(
        f"{origin} is no subject: give a module or object with some of {', '.join(SURFACE)}, "
        "a function (graph, example_inputs) -> callable, or an object with compile() and name"
    )


def _DEFAULT_ABILITIES(surface: Mapping[str, Any]) -> Sequence[str]:
    # With the seed's own VllmBackend comes all that the seed promises of it; of a make_backend
    # we know that it splits, and no more.
    return ABILITIES if "VllmBackend" in surface else ("splitting", "eager")


def _is_compiler(found: Any) -> bool:
    if hasattr(found, "compile") and hasattr(found, "name"):
        return True
    if not callable(found) or inspect.isclass(found):
        return False
    required = [
        each
        for each in inspect.signature(found).parameters.values()
        if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)
        and each.default is each.empty
    ]
    return len(required) == 2
