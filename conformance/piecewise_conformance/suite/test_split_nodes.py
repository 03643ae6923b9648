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
from piecewise_conformance.testkit.oracle import check, copy_values, observe
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
                f"the metadata of {node.format_node()} in its piece",
                expected=str(notes),
                got=str(there),
                program=graph.source(),
            )


def _like(node: fx.Node, others: list[fx.Node]) -> list[fx.Node]:
    return [each for each in others if each.target == node.target]


@requirement("SPLIT-019")
@pytest.mark.parametrize("name", ["two-layers", "linear-chain", "two-symbols", "nested-outputs"])
def test_metadata_of_inputs(subject: Subject, name: str) -> None:
    """What the graph notes at each placeholder, Dynamo's notes and a user's, the split graph notes
    at its own.
    """
    graph = graph_for(subject, name)
    given = graph.fresh()
    placeholders = given.graph.find_nodes(op="placeholder")
    for number, node in enumerate(placeholders):
        node.meta["custom"] = {"number": number}
    wanted = [dict(node.meta) for node in placeholders]
    split_gm = subject.split(given, graph.splitting_ops).gm
    there = split_gm.graph.find_nodes(op="placeholder")
    for node, notes, other in zip(placeholders, wanted, there, strict=True):
        for key, value in notes.items():
            if key not in other.meta or not _same(value, other.meta[key]):
                raise Violation(
                    f"the metadata {key!r} of the placeholder {node.name} of the split graph",
                    expected=str(value)[:200],
                    got=str(other.meta.get(key, "nothing"))[:200],
                    program=graph.source(),
                )


@requirement("SPLIT-020")
@pytest.mark.parametrize("name", ["two-layers", "two-symbols", "topk-across-op", "strided-outputs"])
def test_values_of_the_inputs_of_pieces(subject: Subject, name: str) -> None:
    """The placeholders of each piece have a traced value, of the type, dtype and dimensions that
    the piece is called with.
    """
    graph = graph_for(subject, name)
    result = subject.split(graph.fresh(), graph.splitting_ops)
    size = next(iter(graph.args))
    calls: dict[str, Any] = {}

    class Calls(fx.Interpreter):
        def call_module(self, target: Any, args: Any, kwargs: Any) -> Any:
            calls[target] = args
            return super().call_module(target, args, kwargs)

    with torch.no_grad(), inside_subject("the split graph"):
        Calls(result.gm).run(*copy_values(list(graph.args[size])))
    for piece in result.pieces:
        placeholders = piece.graph.graph.find_nodes(op="placeholder")
        for node, value in zip(placeholders, calls[piece.name], strict=True):
            known = node.meta.get("example_value", node.meta.get("val"))
            if not _stands_for(known, value):
                raise Violation(
                    f"the traced value of the placeholder {node.name} of {piece.name}",
                    expected=_outline(value),
                    got=_outline(known),
                    program=graph.source(),
                )


@requirement("SPLIT-021")
@pytest.mark.parametrize("name", ["parameter-returned", "buffer-updated", "two-layers", "op-first"])
def test_placeholders_come_first(subject: Subject, name: str) -> None:
    """In the split graph and in each piece, also where a piece reads attributes of the model."""
    graph = graph_for(subject, name)
    result = subject.split(graph.fresh(), graph.splitting_ops)
    for where, gm in (("the split graph", result.gm), *((p.name, p.graph) for p in result.pieces)):
        _expect_placeholders_first(where, gm, graph.source())


@requirement("SPLIT-021")
def test_placeholders_come_before_attributes(subject: Subject) -> None:
    """A piece that reads a buffer takes its inputs first."""
    root = torch.nn.Module()
    root.register_buffer("shift", torch.ones(8))
    graph = fx.Graph()
    x = graph.placeholder("x")
    y = graph.call_function(_scaled, (x,))
    y = graph.call_function(operator.add, (graph.get_attr("shift"), y))
    graph.output((graph.call_function(operator.add, (y, graph.get_attr("shift"))),))
    for piece in subject.split(fx.GraphModule(root, graph), [_OP]).pieces:
        _expect_placeholders_first(piece.name, piece.graph, str(graph))


def _expect_placeholders_first(where: str, gm: fx.GraphModule, program: str) -> None:
    ops = [node.op for node in gm.graph.nodes]
    if "placeholder" in ops[ops.count("placeholder") :]:
        raise Violation(
            f"the nodes of {where}",
            expected="placeholders before all others",
            got=", ".join(ops[:12]),
            program=program,
        )


def _same(one: Any, other: Any) -> bool:
    if one is other:
        return True
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return _outline(one) == _outline(other)
    return type(one) is type(other) and bool(one == other)


def _outline(value: Any) -> str:
    if not isinstance(value, torch.Tensor):
        return f"{type(value).__name__} {value}"
    return f"{value.dtype} {list(value.shape)} on {value.device}"


def _stands_for(known: Any, value: Any) -> bool:
    """Whether ``known`` is what tracing may know of ``value``: sizes may be symbols."""
    if not isinstance(value, torch.Tensor):
        return isinstance(known, (torch.SymInt, torch.SymFloat, torch.SymBool, type(value)))
    return (
        isinstance(known, torch.Tensor)
        and (known.dtype, known.device, known.dim()) == (value.dtype, value.device, value.dim())
        and all(
            isinstance(size, torch.SymInt) or size == actual
            for size, actual in zip(known.shape, value.shape, strict=True)
        )
    )
