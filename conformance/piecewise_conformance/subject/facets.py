"""The forms in which a subject answers, checked once so that a test deals with what they say.

Every call of the subject is inside the boundary; an answer of another form is a Violation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..core.boundary import crossing, inside_subject
from ..core.verdict import Violation

MakeRange = Callable[[Any, Any], Any]  # (start, end) -> the subject's Range


class PlainRange(NamedTuple):
    """A range for a subject that offers no ``Range`` of its own; both ends included."""

    start: int
    end: int


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


def split_result(answer: Any) -> SplitResult:
    """What ``split_graph`` answered, or a Violation if it has another form."""
    from torch import fx

    if not isinstance(answer, (tuple, list)) or len(answer) != 2:
        raise Violation(
            "split_graph did not return (split graph, items)",
            expected="a tuple of a GraphModule and a list of items",
            got=repr(answer)[:200],
        )
    gm, items = answer
    if not isinstance(gm, fx.GraphModule) or not isinstance(items, (tuple, list)):
        raise Violation(
            "split_graph did not return (split graph, items)",
            expected="a GraphModule and a list",
            got=f"{type(gm).__name__} and {type(items).__name__}",
        )
    return SplitResult(gm, tuple(map(_piece, items)))


def _piece(item: Any) -> Piece:
    from torch import fx

    try:
        piece = Piece(item.submod_name, item.graph_id, item.is_splitting_graph, item.graph)
    except AttributeError as error:
        raise Violation(
            "an item of split_graph has not all attributes of SplitItem",
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
            "an item of split_graph has an attribute of the wrong type",
            expected="str, int, bool, GraphModule",
            got=", ".join(type(v).__name__ for v in vars(piece).values()),
        )
    return piece


class Manager:
    """The manager facet: one ``CompilerManager``, asked in plain terms. Ranges are (start, end)."""

    def __init__(self, inner: Any, config: Any, make_range: MakeRange) -> None:
        self.inner, self.config, self.make_range = inner, config, make_range

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
                self.make_range(*range),
                index,
                count,
            )
        if not callable(runnable):
            raise Violation("compile did not return a callable", got=repr(runnable)[:200])
        return crossing("a compiled piece", runnable)

    def load(
        self, graph: Any, inputs: Sequence[Any], range: tuple[int, int], index: int = 0
    ) -> Callable[..., Any] | None:
        """``load``: the cached callable, or None."""
        with inside_subject("CompilerManager.load"):
            runnable = self.inner.load(graph, list(inputs), index, self.make_range(*range))
        return None if runnable is None else crossing("a loaded piece", runnable)

    def save(self) -> None:
        """``save_to_file``."""
        with inside_subject("save_to_file"):
            self.inner.save_to_file()


class Compiler:
    """The compiler facet: one object with the seed's compiler interface."""

    def __init__(self, inner: Any, config: Any, make_range: MakeRange) -> None:
        self.inner, self.config, self.make_range = inner, config, make_range

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
            answer = self.inner.compile(graph, list(inputs), {}, self.make_range(*range), key)
        pair = isinstance(answer, (tuple, list)) and len(answer) == 2
        if not pair or not callable(answer[0]):
            raise Violation("compile did not return (callable, handle)", got=repr(answer)[:200])
        return crossing("a compiled graph", answer[0]), answer[1]

    def load(
        self, handle: Any, graph: Any, inputs: Sequence[Any], range: tuple[int, int]
    ) -> Callable[..., Any]:
        """``load``: the callable that ``handle`` stands for."""
        with inside_subject("load"):
            runnable = self.inner.load(handle, graph, list(inputs), 0, self.make_range(*range))
        if not callable(runnable):
            raise Violation("load did not return a callable", got=repr(runnable)[:200])
        return crossing("a loaded graph", runnable)
