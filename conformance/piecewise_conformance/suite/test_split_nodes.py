"""SPLIT: long graphs, ops that only check, and what is noted at nodes."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import pytest
import torch
from piecewise_conformance.core.boundary import inside_subject
from piecewise_conformance.core.marks import requirement
from piecewise_conformance.core.verdict import Violation
from piecewise_conformance.subject.subject import Subject
from piecewise_conformance.testkit import graphs
from piecewise_conformance.testkit.oracle import check, observe
from piecewise_conformance.testkit.splits import graph_for
from torch import fx

_OP = "piecewise::scaled"
_scaled = torch.ops.piecewise.scaled


def _module(graph: fx.Graph, output: Any) -> fx.GraphModule:
    graph.output(output)
    return fx.GraphModule(torch.nn.Module(), graph)


@requirement("SPLIT-006")
def test_long_chain(subject: Subject) -> None:
    """Two thousand ops, each of the one before, with two hundred splitting ops among them."""
    graph = fx.Graph()
    value = graph.placeholder("x")
    for number in range(2000):
        value = graph.call_function(torch.neg if number % 10 else _scaled, (value,))
    gm = _module(graph, value)
    result = subject.split(gm, [_OP])
    ones = [torch.ones(2, 8)]
    wanted = observe(gm, ones)
    with inside_subject("the split graph"):
        got = observe(result.gm, ones)
    check(wanted, got, program=lambda: "neg and scaled, two thousand times")


def _all_small(graph: fx.Graph, s0: fx.Node, x: fx.Node) -> fx.Node:
    return graph.call_method("all", (graph.call_function(torch.lt, (x, 100.0)),))


def _few_rows(graph: fx.Graph, s0: fx.Node, x: fx.Node) -> fx.Node:
    return graph.call_function(operator.le, (s0, 4))


# what tells whether the inputs are as they should be, and the op that raises if they are not
CHECKS: dict[str, tuple[Callable[[fx.Graph, fx.Node, fx.Node], fx.Node], Any, tuple[str, ...]]] = {
    "assert": (_all_small, torch._assert, ("too large",)),
    "assert-async": (_all_small, torch.ops.aten._assert_async.msg, ("too large",)),
    "check": (_few_rows, torch._check, ()),
    "assert-scalar": (_few_rows, torch.ops.aten._assert_scalar.default, ("too many",)),
}


@requirement("SPLIT-015")
@pytest.mark.parametrize("name", CHECKS)
@pytest.mark.parametrize("where", ["before-the-op", "after-the-op"])
def test_checks_are_kept(subject: Subject, name: str, where: str) -> None:
    """An op that returns nothing, and raises for some inputs, raises from the split graph, too."""
    condition, op, words = CHECKS[name]
    graph = fx.Graph()
    s0, x = graph.placeholder("s0"), graph.placeholder("x")
    value = x if where == "before-the-op" else graph.call_function(_scaled, (x,))
    graph.call_function(op, (condition(graph, s0, value), *words))
    value = graph.call_function(_scaled, (graph.call_function(torch.neg, (value,)),))
    gm = _module(graph, (graph.call_function(torch.neg, (value,)),))
    result = subject.split(gm, [_OP])
    good = [4, torch.ones(4, 8)]
    check(observe(gm, good), observe(result.gm, good), program=lambda: str(graph))
    try:
        result.gm(5, torch.full((5, 8), 1000.0))
    except (RuntimeError, AssertionError):
        return
    raise Violation(f"inputs that {op} refuses", expected="an error", program=str(graph))


_NOTES = ("stack_trace", "nn_module_stack", "custom")


@requirement("SPLIT-018")
@pytest.mark.parametrize("name", ["two-layers", "linear-chain", "condition"])
def test_notes_of_ops(subject: Subject, name: str) -> None:
    """Of each op: the lines of source, the modules, and what a user noted."""
    graph = graph_for(subject, name)
    given = graph.fresh()
    ops = [node for node in given.graph.nodes if graphs.computes(node)]
    for number, node in enumerate(ops):
        node.meta["custom"] = {"number": number}
    wanted = [{note: node.meta.get(note) for note in _NOTES} for node in ops]
    pieces = subject.split(given, graph.splitting_ops).pieces
    inside = [n for piece in pieces for n in piece.graph.graph.nodes if graphs.computes(n)]
    for node, notes in zip(ops, wanted, strict=True):
        there = [{note: n.meta.get(note) for note in _NOTES} for n in _like(node, inside)]
        if notes not in there:
            raise Violation(
                f"what is noted at {node.format_node()} in its piece",
                expected=str(notes),
                got=str(there),
                program=graph.source(),
            )


def _like(node: fx.Node, others: list[fx.Node]) -> list[fx.Node]:
    return [each for each in others if each.target == node.target]
