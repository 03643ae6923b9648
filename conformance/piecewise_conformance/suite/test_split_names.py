"""SPLIT: which ops the name of a splitting op means."""

from __future__ import annotations

import operator
from typing import Any

import pytest
import torch
from piecewise_conformance.core.boundary import inside_subject
from piecewise_conformance.core.marks import requirement
from piecewise_conformance.core.verdict import Violation
from piecewise_conformance.subject.subject import Subject
from piecewise_conformance.testkit.oracle import check, observe
from piecewise_conformance.testkit.splits import check_equal, graph_for
from torch import fx


def _calls(*targets: Any) -> fx.GraphModule:
    """A graph that calls each target on the result of the one before."""
    graph = fx.Graph()
    value = graph.placeholder("x")
    for target in targets:
        if isinstance(target, str):
            value = graph.call_method(target, (value, value))
        else:
            arguments = (value,) if "scaled" in str(target) else (value, value)
            value = graph.call_function(target, arguments)
    graph.output(value)
    return fx.GraphModule(torch.nn.Module(), graph)


_scaled = torch.ops.piecewise.scaled
_add = torch.ops.aten.add


@requirement("SPLIT-016")
@pytest.mark.parametrize(
    ("op", "target"),
    [
        pytest.param("piecewise::scaled", _scaled, id="packet"),
        pytest.param("piecewise::scaled", _scaled.default, id="overload-by-packet-name"),
        pytest.param("piecewise::scaled.default", _scaled.default, id="overload-by-full-name"),
        pytest.param("piecewise::scaled.default", _scaled, id="packet-by-name-of-its-overload"),
        pytest.param("aten::add", _add.Tensor, id="aten-overload-by-packet-name"),
        pytest.param("aten::add.Tensor", _add.Tensor, id="aten-overload-by-full-name"),
        pytest.param("aten::add", _add, id="aten-packet"),
    ],
)
def test_name_matches(subject: Subject, op: str, target: Any) -> None:
    """An op is split at by its packet's name and by its overload's."""
    pieces = subject.split(_calls(operator.mul, target, operator.mul), [op]).pieces
    flagged = [n.target for p in pieces if p.is_splitting for n in p.graph.graph.nodes]
    if target not in flagged:
        raise Violation(f"{target} was not split at under the name {op}", expected=str(target))


@requirement("SPLIT-016")
@pytest.mark.parametrize(
    "names", [("higher_order::cond",), ("cond", "higher_order::cond")], ids=["qualified", "both"]
)
def test_higher_order_op_matches(subject: Subject, names: tuple[str, ...]) -> None:
    """A higher-order op that Dynamo captured is split at by its qualified name, also if the
    bare name is given too.
    """
    graph = graph_for(subject, "condition")
    result = subject.split(graph.fresh(), names)
    inside = [n.target for p in result.pieces if p.is_splitting for n in p.graph.graph.nodes]
    if torch.ops.higher_order.cond not in inside:
        raise Violation("cond was not split at under its name", expected="a separate piece")
    check_equal(result.gm, graph)


@requirement("SPLIT-017")
@pytest.mark.parametrize(
    ("op", "target"),
    [
        pytest.param("aten::add", torch.ops.aten.add_.Tensor, id="longer-name"),
        pytest.param("aten::add_", _add.Tensor, id="shorter-name"),
        pytest.param("aten::add.Scalar", _add.Tensor, id="other-overload"),
        pytest.param("prims::add", _add.Tensor, id="other-namespace"),
        pytest.param("aten::add", "add", id="method"),
        pytest.param("aten::add", operator.add, id="python-function"),
        pytest.param("aten::add", torch.add, id="torch-function"),
        pytest.param("piecewise::scale_", _scaled, id="alike"),
    ],
)
def test_other_name_does_not_match(subject: Subject, op: str, target: Any) -> None:
    """What is not named is not split at."""
    pieces = subject.split(_calls(operator.mul, target, operator.mul), [op]).pieces
    if flagged := [piece.name for piece in pieces if piece.is_splitting]:
        raise Violation(
            f"{target} was split at under the name {op}",
            expected="no splitting piece",
            got=str(flagged),
        )


@torch.library.custom_op("piecewise_suite::scaled", mutates_args=())
def scaled_elsewhere(x: torch.Tensor) -> torch.Tensor:
    """An op of the name and the overload that the fixtures' splitting op has."""
    return x * 2


@requirement("SPLIT-017")
def test_alike_in_one_graph(subject: Subject) -> None:
    """An op is told from those of almost its name that the same graph calls, before and after."""
    others = [
        torch.ops.piecewise_suite.scaled.default,
        torch.ops.piecewise.scale_.default,
        torch.ops.aten.add_.Tensor,
        _add.Scalar,
    ]
    named = [torch.ops.piecewise.scaled.default, _add.Tensor]
    graph = _calls(*named, *others, *named, *others)
    pieces = subject.split(graph, ["piecewise::scaled", "aten::add.Tensor"]).pieces
    got = [
        node.target
        for piece in pieces
        if piece.is_splitting
        for node in piece.graph.graph.nodes
        if node.op == "call_function"
    ]
    if got != [*named, *named]:
        raise Violation("ops in the flagged pieces", expected=str([*named, *named]), got=str(got))


@requirement("SPLIT-012")
def test_list_of_ops_is_left(subject: Subject) -> None:
    """The list of ops that was given holds what it held, in that order."""
    split_graph, ops = subject.get("split_graph"), ["piecewise::scaled", "aten::add"]
    given = list(ops)
    with inside_subject("split_graph"):
        split_graph(_calls(_scaled, _add), given)
    if given != ops:
        raise Violation("the list of splitting ops", expected=str(ops), got=str(given))


@requirement("SPLIT-012")
def test_modes_of_modules_are_left(subject: Subject) -> None:
    """A module that the graph calls in evaluation mode stays in it, here and in the split graph."""
    root = torch.nn.Module()
    root.add_module("drop", torch.nn.Dropout(0.5).eval())
    graph = fx.Graph()
    x = graph.placeholder("x")
    y = graph.call_module("drop", (graph.call_function(_scaled, (x,)),))
    graph.output((y, graph.call_module("drop", (graph.call_function(_scaled, (y,)),))))
    gm = fx.GraphModule(root, graph)  # which is in training mode, as every new module is
    result = subject.split(gm, ["piecewise::scaled"])
    if root.get_submodule("drop").training:
        raise Violation("a module in evaluation mode, after the split", got="training mode")
    ones = torch.ones(4, 8)
    check(observe(gm, [ones]), observe(result.gm, [ones]), program=lambda: str(graph))
