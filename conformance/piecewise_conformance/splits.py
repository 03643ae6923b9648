"""Graphs split by a subject, and their comparison with the graphs as they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from . import reach
from .boundary import inside_subject
from .capture import Captured, captured
from .drive import run_graph
from .facets import SplitResult
from .oracle import check
from .subject import Subject


def graph_for(subject: Subject, name: str) -> Captured:
    """The graph ``name``, which is not captured for a subject that does not split."""
    subject.get("split_graph")
    return captured(name)


@dataclass(frozen=True)
class _Kept:
    subject: Subject
    graph: str
    result: SplitResult
    reached: list[str]


_splits: dict[int, _Kept] = {}


def split(subject: Subject, graph: Captured) -> SplitResult:
    """``graph`` split at its own splitting ops, once for all tests that only look or run."""
    kept = _splits.get(id(subject))
    if kept is None or kept.graph != graph.name:
        with reach.noting() as reached:
            result = subject.split(graph.fresh(), graph.splitting_ops)
        kept = _splits[id(subject)] = _Kept(subject, graph.name, result, reached)
    reach.add(kept.reached)
    return kept.result


def check_equal(gm: Any, graph: Captured, sizes: list[int] | None = None) -> None:
    """``gm`` must do what ``graph`` does, for ``sizes`` or for all it has arguments for."""
    for size in graph.args if sizes is None else sizes:
        expected = run_graph(graph.gm, graph, size)
        with inside_subject("the split graph"):
            got = run_graph(gm, graph, size)
        check(expected, got, program=graph.source, where=f"for {size} tokens")
