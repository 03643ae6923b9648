"""Graphs split by a subject, and their comparison with the graphs as they are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import fx

from ..core import coverage
from ..core.boundary import inside_subject, whose
from ..core.verdict import Unsupported
from ..subject.facets import SplitResult
from ..subject.subject import Subject
from .drive import expected, run_graph
from .generated.layout import with_layout
from .graph_capture import Captured, captured
from .oracle import check


def graph_for(subject: Subject, name: str) -> Captured:
    """The graph ``name``, which is not captured for a subject that does not split."""
    subject.get("split_graph")
    return captured(name)


@dataclass(frozen=True)
class _Kept:
    subject: Subject
    graph: str
    given: fx.GraphModule
    result: SplitResult
    reached: list[str]


_splits: dict[int, _Kept] = {}


def split(subject: Subject, graph: Captured) -> SplitResult:
    """``graph`` split at its own splitting ops, once for all tests that only look or run.

    That it cannot be split is a failure of SPLIT-001 and SPLIT-006, which ask for no more than that
    and for every graph; all else has nothing to judge then: see :func:`to_judge`.
    """
    return _kept(subject, graph).result


def given_to(subject: Subject, graph: Captured) -> fx.GraphModule:
    """What ``subject`` was given to :func:`split`."""
    return _kept(subject, graph).given


def _kept(subject: Subject, graph: Captured) -> _Kept:
    kept = _splits.get(id(subject))
    if kept is None or kept.graph != graph.name:
        with coverage.noting() as reached:
            given = graph.fresh()
            result = subject.split(given, graph.splitting_ops)
        kept = _splits[id(subject)] = _Kept(subject, graph.name, given, result, reached)
    coverage.add(kept.reached)
    return kept


def to_judge(subject: Subject, graph: Captured) -> SplitResult:
    """``graph`` split, for a test of how that was done; Unsupported if it cannot be split."""
    try:
        return split(subject, graph)
    except Exception as error:
        if whose(error) is None:
            raise
        words = f"the subject cannot split {graph.name}; see SPLIT-001 and SPLIT-006"
        raise Unsupported(words) from error


def check_equal(gm: Any, graph: Captured, sizes: list[int] | None = None) -> None:
    """``gm`` must do what ``graph`` does, for ``sizes`` or for all it has arguments for."""
    for size in graph.args if sizes is None else sizes:
        wanted = expected(graph, size)
        with inside_subject("the split graph"):
            got = run_graph(gm, graph, size)
        where = f"for {size} tokens"
        text = partial(_with_inputs, graph, size)
        check(wanted, got, program=text, where=where, with_modes=True)


def _with_inputs(graph: Captured, size: int) -> str:
    return with_layout(graph.source(), graph.args[size], f"for {size} tokens")
