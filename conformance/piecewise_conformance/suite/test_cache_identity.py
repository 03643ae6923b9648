"""CACHE: an artifact is used only for the graph, the inputs and the handle it belongs to."""

from __future__ import annotations

import operator
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from piecewise_conformance.core.marks import requirement
from piecewise_conformance.core.verdict import Violation
from piecewise_conformance.subject.subject import Subject
from piecewise_conformance.testkit import spy
from piecewise_conformance.testkit.caches import snapshots
from piecewise_conformance.testkit.caches.managers import (
    RANGE,
    expect_work,
    fill,
    manager,
    start,
)
from piecewise_conformance.testkit.pieces import PieceCase, piece, times
from piecewise_fixtures.fx_graphs import annotate
from torch import fx, nn


def _linear(bias: bool) -> Callable[..., Any]:
    def body(graph: fx.Graph, s0: fx.Node, x: fx.Node) -> Any:
        weight = graph.get_attr("weight")
        arguments = (x, weight, graph.get_attr("bias")) if bias else (x, weight)
        return (graph.call_function(torch.nn.functional.linear, arguments),)

    return body


def _weights(value: float) -> nn.Module:
    root = nn.Module()
    root.register_buffer("weight", torch.full((8, 8), value))
    root.register_buffer("bias", torch.full((8,), 0.5))
    return root


def _calls(function: Any, *rest: Any, **kwargs: Any) -> PieceCase:
    return piece(lambda g, s, x: (g.call_function(function, (x, *rest), kwargs),))


def _twice(swap: bool) -> PieceCase:
    def body(graph: fx.Graph, s0: fx.Node, x: fx.Node) -> Any:
        a = graph.call_function(torch.sin, (x,))
        b = graph.call_function(torch.cos, (x,))
        return (graph.call_function(operator.sub, (b, a) if swap else (a, b)),)

    return piece(body)


def _writes(swap: bool) -> PieceCase:
    # no data runs from one write to the other: their order is all that tells the two apart
    def body(graph: fx.Graph, s0: fx.Node, x: fx.Node) -> Any:
        y = graph.call_function(torch.neg, (x,))
        for name, number in [("mul_", 3), ("add_", 1)] if swap else [("add_", 1), ("mul_", 3)]:
            graph.call_method(name, (y, number))
        return (y,)

    return piece(body)


class _Twice:
    @staticmethod
    def apply(x: Any) -> Any:
        """The same name, in the same module, as that of the other one."""
        return x * 2


class _Thrice:
    @staticmethod
    def apply(x: Any) -> Any:
        return x * 3


def _by(factor: int) -> Callable[[Any], Any]:
    return lambda x: x * factor


def _large(middle: float) -> nn.Module:
    # larger than what a tensor prints in full
    root = nn.Module()
    root.register_buffer("weight", torch.zeros(500, 8))
    root.register_buffer("bias", torch.zeros(500))
    root.get_buffer("weight")[250, 4] = middle
    return root


def _sets(index: Any) -> PieceCase:
    # a write returns nothing, so that no shape or stride gives away where it went
    def body(graph: fx.Graph, s0: fx.Node, x: fx.Node) -> Any:
        y = graph.call_function(torch.neg, (x,))
        graph.call_function(operator.setitem, (y, index, 7.0))
        return (y,)

    return piece(body)


def _outputs(swap: bool) -> PieceCase:
    def body(graph: fx.Graph, s0: fx.Node, x: fx.Node) -> Any:
        a, b = graph.call_function(torch.sin, (x,)), graph.call_function(torch.cos, (x,))
        return (b, a) if swap else (a, b)

    return piece(body)


def _packed(pack: Callable[[Any, Any], Any]) -> PieceCase:
    def body(graph: fx.Graph, s0: fx.Node, x: fx.Node) -> Any:
        return pack(graph.call_function(torch.sin, (x,)), graph.call_function(torch.cos, (x,)))

    return piece(body)


OTHERS: dict[str, tuple[Callable[[], PieceCase], Callable[[], PieceCase]]] = {
    "constant": (lambda: times(2), lambda: times(3)),
    "int-for-float-constant": (
        lambda: _calls(torch.full_like, 2, dtype=torch.float64),
        lambda: _calls(torch.full_like, 2.5, dtype=torch.float64),
    ),
    "op": (lambda: _calls(torch.sin), lambda: _calls(torch.cos)),
    "overload": (
        lambda: _calls(torch.ops.aten.sum.default),
        lambda: _calls(torch.ops.aten.sum.dim_IntList, [0]),
    ),
    "keyword": (lambda: _calls(torch.cumsum, dim=0), lambda: _calls(torch.cumsum, dim=1)),
    "keyword-name": (
        lambda: _calls(torch.sum, dim=1, keepdim=True),
        lambda: _calls(torch.sum, dim=1),
    ),
    "other-keyword": (lambda: _calls(torch.clamp, min=0), lambda: _calls(torch.clamp, max=0)),
    "dtype": (
        lambda: _calls(torch.Tensor.to, torch.float64),
        lambda: _calls(torch.Tensor.to, torch.float16),
    ),
    "slice": (
        lambda: _calls(operator.getitem, slice(None, 2)),
        lambda: _calls(operator.getitem, slice(2, None)),
    ),
    "list-for-number": (
        lambda: _calls(operator.getitem, [1]),
        lambda: _calls(operator.getitem, 1),
    ),
    "slice-step": (
        lambda: _calls(operator.getitem, slice(None, None, 2)),
        lambda: _calls(operator.getitem, slice(None, None, 3)),
    ),
    "slice-in-a-tuple": (
        lambda: _calls(operator.getitem, (slice(None), slice(0, 4))),
        lambda: _calls(operator.getitem, (slice(None), slice(4, 8))),
    ),
    "set-slice": (lambda: _sets(slice(0, 2)), lambda: _sets(slice(2, 4))),
    "set-slice-step": (lambda: _sets(slice(0, 4, 1)), lambda: _sets(slice(0, 4, 2))),
    "set-list-for-tuple": (lambda: _sets([0, 1]), lambda: _sets((0, 1))),
    "set-true-for-one": (lambda: _sets(True), lambda: _sets(1)),
    "list-for-tuple": (
        lambda: _calls(operator.getitem, [0, 1]),
        lambda: _calls(operator.getitem, (0, 1)),
    ),
    "true-for-one": (
        lambda: _calls(operator.getitem, True),
        lambda: _calls(operator.getitem, 1),
    ),
    "float-for-int": (
        lambda: piece(lambda g, s, x: (g.call_function(operator.mul, (x, 2)),), dtype=torch.int64),
        lambda: piece(
            lambda g, s, x: (g.call_function(operator.mul, (x, 2.0)),), dtype=torch.int64
        ),
    ),
    "minus-zero": (
        lambda: _calls(torch.copysign, 0.0),
        lambda: _calls(torch.copysign, -0.0),
    ),
    "last-digit": (lambda: times(1.5), lambda: times(1.5 + 2**-20)),
    "text": (
        lambda: _calls(torch.div, 3, rounding_mode="floor"),
        lambda: _calls(torch.div, 3, rounding_mode="trunc"),
    ),
    "function-of-one-name": (lambda: _calls(_Twice.apply), lambda: _calls(_Thrice.apply)),
    "function-made-alike": (lambda: _calls(_by(2)), lambda: _calls(_by(3))),
    "order-of-writes": (lambda: _writes(False), lambda: _writes(True)),
    "tuple-of-one": (
        lambda: piece(lambda g, s, x: g.call_function(torch.neg, (x,))),
        lambda: piece(lambda g, s, x: (g.call_function(torch.neg, (x,)),)),
    ),
    "tuple-in-a-tuple": (
        lambda: _packed(lambda a, b: (a, b)),
        lambda: _packed(lambda a, b: ((a, b),)),
    ),
    "tuple-of-one-before": (
        lambda: _packed(lambda a, b: ((a, b),)),
        lambda: _packed(lambda a, b: ((a,), b)),
    ),
    "none-among-outputs": (
        lambda: _packed(lambda a, b: (a, b, None)),
        lambda: _packed(lambda a, b: (a, None, b)),
    ),
    "output-twice": (
        lambda: _packed(lambda a, b: (a, b, a)),
        lambda: _packed(lambda a, b: (a, b, b)),
    ),
    "large-buffer": (
        lambda: piece(_linear(False), root=_large(1.0)),
        lambda: piece(_linear(False), root=_large(2.0)),
    ),
    "argument-order": (lambda: _twice(False), lambda: _twice(True)),
    "output-order": (lambda: _outputs(False), lambda: _outputs(True)),
    "bias": (
        lambda: piece(_linear(False), root=_weights(1.0)),
        lambda: piece(_linear(True), root=_weights(1.0)),
    ),
    "buffer-content": (
        lambda: piece(_linear(False), root=_weights(1.0)),
        lambda: piece(_linear(False), root=_weights(2.0)),
    ),
    "an-op-more": (
        lambda: times(2),
        lambda: piece(
            lambda g, s, x: (g.call_function(torch.neg, (g.call_function(operator.mul, (x, 2)),)),)
        ),
    ),
    "method-name": (
        lambda: piece(lambda g, s, x: (g.call_method("sin", (x,)),)),
        lambda: piece(lambda g, s, x: (g.call_method("cos", (x,)),)),
    ),
    "input-used": (
        lambda: piece(lambda g, s, x: (g.call_function(operator.mul, (x, s)),)),
        lambda: piece(lambda g, s, x: (g.call_function(operator.mul, (x, x)),)),
    ),
    "piece-dtype": (lambda: times(2), lambda: _with_dtype(torch.float64)),
}


def _with_dtype(dtype: torch.dtype) -> PieceCase:
    # an artifact for float32 returns float32
    return piece(lambda g, s, x: (g.call_function(operator.mul, (x, 2)),), dtype=dtype)


@requirement("CACHE-009")
@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("way", ["forth", "back"])
def test_other_graph_in_the_same_place(
    subject: Subject, tmp_path: Path, name: str, way: str
) -> None:
    """The artifact of another graph, saved for this place, is not used; afterwards both work."""
    first, second = OTHERS[name] if way == "forth" else reversed(OTHERS[name])
    fill(subject, tmp_path, first())
    log = start(subject, tmp_path, second())
    if not log.compiles:
        raise Violation(
            "a graph was served by the artifact of another graph",
            expected="a compile",
            got="a load",
            program=f"{first().gm.graph}\n{second().gm.graph}",
        )
    fill(subject, tmp_path, second())
    start(subject, tmp_path, first())


@requirement("CACHE-009")
def test_other_graph_in_one_process(subject: Subject, tmp_path: Path) -> None:
    """Nor is it within one manager, on an empty folder or on one that it loads from."""
    with spy.spying():
        for _ in range(2):
            only = manager(subject, tmp_path)
            for factor in (2, 3, 2):
                case = times(factor)
                case.check(only.compile(case.gm, case.traced, RANGE))
            only.save()


@requirement("CACHE-010")
def test_names_do_not_matter(subject: Subject, tmp_path: Path) -> None:
    """A graph with other names for its nodes hits."""

    def named(prefix: str) -> PieceCase:
        case = piece(
            lambda g, s, x: (g.call_function(torch.sin, (g.call_function(operator.mul, (x, 2)),)),)
        )
        for number, node in enumerate(case.gm.graph.nodes):
            if node.op not in ("output", "get_attr"):
                node.name = f"{prefix}_{number}"
                if node.op == "placeholder":
                    node.target = node.name
        case.gm.recompile()
        return case

    fill(subject, tmp_path, named("first"))
    expect_work(start(subject, tmp_path, named("other")), loads=1, compiles=0, what="renamed nodes")


def _inputs(kind: str, case: PieceCase) -> list[Any]:
    rows, x = case.args(6)
    return {
        "contiguous": [rows, x],
        "transposed": [rows, torch.randn(8, 6).t()],
        "gapped": [rows, torch.randn(6, 16)[:, ::2]],
        "double": [rows, x.double()],
        "complex": [rows, x.to(torch.complex64)],
        "conjugate": [rows, x.to(torch.complex64).conj()],
        "number": [rows, 3],
        "tensor-for-number": [torch.tensor(rows), x],
    }[kind]


@requirement("CACHE-014")
@pytest.mark.parametrize(
    "kind", ["transposed", "gapped", "double", "number", "tensor-for-number", "conjugate"]
)
def test_other_kind_of_inputs(subject: Subject, tmp_path: Path, kind: str) -> None:
    """A single size compiled for contiguous numbers is compiled again for other inputs."""
    case = times(2)
    # a conjugate is a view: all that tells it from what it views is how it reads memory
    usual = "complex" if kind == "conjugate" else "contiguous"
    with spy.spying():
        writer = manager(subject, tmp_path)
        writer.compile(case.gm, _inputs(usual, case), (6, 6))
        writer.save()
    with spy.spying() as log:
        manager(subject, tmp_path).compile(case.gm, _inputs(usual, case), (6, 6))
    expect_work(log, loads=1, compiles=0, what="the same kind of inputs")
    with spy.spying() as log:
        manager(subject, tmp_path).compile(case.gm, _inputs(kind, case), (6, 6))
    expect_work(log, loads=0, compiles=1, what=f"inputs of another kind ({kind})")


def _two_tensors(rows: int, others: int, joined: bool = True) -> PieceCase:
    """A piece of two tensors, the first of which it writes; equal sizes are one symbol."""
    graph = fx.Graph()
    x, y = [graph.placeholder(name) for name in ("s0", "s1", "x", "y")][2:]
    graph.call_method("add_", (x, 1))
    sines = [graph.call_function(torch.sin, (each,)) for each in (x, y)]
    graph.output((graph.call_function(torch.cat, (sines,)),) if joined else tuple(sines))
    gm = fx.GraphModule(nn.Module(), graph)
    args = (rows, others, torch.zeros(rows, 8), torch.zeros(others, 8))
    annotate(gm, args, ((2, 0), (3, 0)))
    return PieceCase(gm, [n.meta["example_value"] for n in gm.graph.find_nodes(op="placeholder")])


@requirement("CACHE-014")
@pytest.mark.parametrize("joined", [True, False])
def test_sizes_that_were_one(subject: Subject, tmp_path: Path, joined: bool) -> None:
    """Compiled for tensors of one size, and again where sizes are independent, joined or not."""
    same, apart = _two_tensors(6, 6, joined), _two_tensors(6, 7, joined)
    for case, loads in ((same, 0), (same, 1), (apart, 0)):
        with spy.spying() as log:
            opened = manager(subject, tmp_path)
            opened.compile(case.gm, case.traced, RANGE)
            opened.save()
        expect_work(
            log, loads=loads, compiles=1 - loads, what="sizes that were one symbol, then two"
        )


@requirement("CACHE-014")
def test_inputs_that_share_memory(subject: Subject, tmp_path: Path) -> None:
    """A piece that writes an input, compiled for two tensors, is compiled again for one twice."""
    case, x, y = _two_tensors(6, 6), torch.zeros(6, 8), torch.zeros(6, 8)
    for inputs, loads in (([6, 6, x, y], 0), ([6, 6, y, x], 1), ([6, 6, x, x[:]], 0)):
        with spy.spying() as log:
            opened = manager(subject, tmp_path)
            opened.compile(case.gm, inputs, (6, 6))
            opened.save()
        expect_work(
            log,
            loads=loads,
            compiles=1 - loads,
            what="tensors with separate memory, then with shared memory",
        )


@requirement("CACHE-015")
def test_swapped_handles(subject: Subject, tmp_path: Path) -> None:
    """Two entries whose handles were exchanged do not give each other's results.

    The handles are texts of one length, which stand in the files of most caches as they are.
    """
    cases, handles = [times(2), times(3)], [f"handle-{number}" * 4 for number in (1, 2)]
    made = iter(handles)
    with spy.spying() as log:
        log.handle = lambda number: ("spy", next(made, "one more"))
        writer = manager(subject, tmp_path)
        for index, case in enumerate(cases):
            writer.compile(case.gm, case.traced, RANGE, index, 2)
        writer.save()
    one, other = (each.encode() for each in handles)
    snapshots.put_back(tmp_path, snapshots.exchanged(snapshots.take(tmp_path), one, other))
    start(subject, tmp_path, *cases)
