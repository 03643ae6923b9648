"""SPLIT: the split graph does what the graph does, and its pieces are well-formed."""

from __future__ import annotations

import copy
from collections import Counter
from typing import Any

import pytest
import torch
from piecewise_conformance.core.boundary import inside_subject
from piecewise_conformance.core.marks import requirement
from piecewise_conformance.core.verdict import Violation
from piecewise_conformance.subject.subject import Subject
from piecewise_conformance.testkit import graphs
from piecewise_conformance.testkit.drive import expected, run_graph
from piecewise_conformance.testkit.graph_capture import all_names
from piecewise_conformance.testkit.oracle import check
from piecewise_conformance.testkit.splits import check_equal, given_to, graph_for, split, to_judge
from torch import fx

every_graph = pytest.mark.parametrize("name", all_names())


@requirement("SPLIT-001")
@every_graph
def test_same_result(subject: Subject, name: str) -> None:
    """Outputs, writes, aliasing and effects of the split graph are those of the graph."""
    graph = graph_for(subject, name)
    check_equal(split(subject, graph).gm, graph)


@requirement("SPLIT-001")
@pytest.mark.parametrize("ops", [(), ("piecewise::scaled", "aten::add", "piecewise::scale_")])
@pytest.mark.parametrize(
    "name", ["advanced-index-after-op", "updates-by-op-only", "two-symbols", "fx:tuple-nested"]
)
def test_same_result_for_other_ops(subject: Subject, name: str, ops: tuple[str, ...]) -> None:
    """The result does not depend on where the graph is split."""
    graph = graph_for(subject, name)
    check_equal(subject.split(graph.fresh(), ops).gm, graph)


@requirement("SPLIT-002")
@every_graph
def test_splitting_ops_are_flagged(subject: Subject, name: str) -> None:
    """No piece that would be compiled holds a splitting op, and none is lost."""
    graph = graph_for(subject, name)
    result = to_judge(subject, graph)
    wanted = [node for node in graph.gm.graph.nodes if graphs.matches(node, graph.splitting_ops)]
    for piece in result.pieces:
        inside = [n for n in piece.graph.graph.nodes if graphs.matches(n, graph.splitting_ops)]
        if inside and not piece.is_splitting:
            raise Violation(
                f"piece {piece.name} contains {inside[0].target}, but is not flagged as splitting",
                expected="a flagged piece",
                got=str(piece.graph.graph),
                program=graph.source(),
            )
    found = sum(
        graphs.matches(node, graph.splitting_ops)
        for piece in result.pieces
        if piece.is_splitting
        for node in piece.graph.graph.nodes
    )
    if found != len(wanted):
        raise Violation(
            "calls of splitting ops in flagged pieces",
            expected=str(len(wanted)),
            got=str(found),
            program=graph.source(),
        )


@requirement("SPLIT-003")
@every_graph
def test_flagged_pieces_hold_nothing_else(subject: Subject, name: str) -> None:
    """What computes and is no splitting op lies in a piece that can be compiled."""
    graph = graph_for(subject, name)
    for piece in to_judge(subject, graph).pieces:
        for node in piece.graph.graph.nodes if piece.is_splitting else ():
            if graphs.computes(node) and not graphs.matches(node, graph.splitting_ops):
                raise Violation(
                    f"the splitting piece {piece.name} computes {node.format_node()}",
                    expected="splitting ops only",
                    got=str(piece.graph.graph),
                    program=graph.source(),
                )


@requirement("SPLIT-004")
@pytest.mark.parametrize(
    "name",
    [
        "advanced-index-after-op",
        "index-computed-after-op",
        "integer-index",
        "view-after-op",
        "slices",
        "item-assignment",
        "view-of-input-updated",
        "cache-updated",
        "fx:tensor-item-after-op",
    ],
)
def test_tensor_indexing_stays(subject: Subject, name: str) -> None:
    """An index of a tensor that an op wrote gives what the op wrote."""
    graph = graph_for(subject, name)
    check_equal(to_judge(subject, graph).gm, graph)


_LEAVES = (torch.Tensor, int, float, bool, complex, str, type(None), torch.SymInt, torch.SymFloat)


@requirement("SPLIT-005")
@every_graph
def test_only_leaves_cross(subject: Subject, name: str) -> None:
    """At run time no piece is passed a container, and none returns one inside its tuple."""
    graph = graph_for(subject, name)
    result = to_judge(subject, graph)
    # what the caller gives, and tracing tells nothing of, no splitter can know for a container
    given = {
        (node.target, at)
        for node in result.gm.graph.find_nodes(op="call_module")
        for at, value in enumerate(node.args)
        if isinstance(value, fx.Node) and value.op == "placeholder" and graphs.value(value) is None
    }
    for size in list(graph.args)[:1]:
        for piece, inputs, outputs in graphs.watch(result, graph, size):
            crossing = [
                ("input", value) for at, value in enumerate(inputs) if (piece, at) not in given
            ]
            is_several = isinstance(outputs, (tuple, list))
            several = outputs if is_several and not isinstance(outputs, torch.Size) else [outputs]
            crossing += [("output", value) for value in several]
            for direction, value in crossing:
                if not isinstance(value, _LEAVES):
                    raise Violation(
                        f"{direction} of piece {piece} is a {type(value).__name__}",
                        expected="a tensor, a number or None",
                        got=repr(value)[:200],
                        program=graph.source(),
                    )


@requirement("SPLIT-006")
@every_graph
def test_every_graph_splits(subject: Subject, name: str) -> None:
    """Splitting raises for no graph, and every piece uses only what was made before it."""
    graph = graph_for(subject, name)
    gm = split(subject, graph).gm
    with inside_subject("the split graph"):
        gm.graph.lint()


@requirement("SPLIT-007")
@every_graph
def test_symbols_come_in(subject: Subject, name: str) -> None:
    """Each symbol in the layout of a piece's inputs is itself an input."""
    graph = graph_for(subject, name)
    for piece in to_judge(subject, graph).pieces:
        if piece.is_splitting:  # never compiled: nothing needs to find a symbol there
            continue
        inputs = [graphs.value(node) for node in piece.graph.graph.find_nodes(op="placeholder")]
        given = {symbol for each in inputs if (symbol := graphs.plain_symbol(each)) is not None}
        for node, each in zip(piece.graph.graph.find_nodes(op="placeholder"), inputs, strict=True):
            if missing := graphs.layout_symbols(each) - given:
                raise Violation(
                    f"input {node.name} of piece {piece.name} has symbols that are not inputs",
                    expected=f"{sorted(map(str, missing))} among the inputs",
                    got=str([n.name for n in piece.graph.graph.find_nodes(op="placeholder")]),
                    program=graph.source(),
                )


@requirement("SPLIT-008")
@pytest.mark.parametrize(
    "name",
    [
        "updates-without-data-edge",
        "updates-by-op-only",
        "view-updated-across-op",
        "input-updated-around-op",
        "notes-in-pieces",
        "notes-as-splitting-ops",
        "effects-only",
        "fx:effects-only",
        "fx:attribute-mutated",
    ],
)
def test_order_of_effects(subject: Subject, name: str) -> None:
    """Writes and effects happen in the order of the graph."""
    graph = graph_for(subject, name)
    check_equal(to_judge(subject, graph).gm, graph)


@requirement("SPLIT-008")
@every_graph
def test_order_of_ops(subject: Subject, name: str) -> None:
    """Pieces are called in an order in which the splitting ops come as they were written."""
    graph = graph_for(subject, name)
    result = to_judge(subject, graph)
    wanted = [n.target for n in graph.gm.graph.nodes if graphs.matches(n, graph.splitting_ops)]
    pieces = {piece.name: piece.graph for piece in result.pieces}
    called = [
        inner.target
        for node in result.gm.graph.nodes
        if node.op == "call_module" and node.target in pieces
        for inner in pieces[node.target].graph.nodes
        if graphs.matches(inner, graph.splitting_ops)
    ]
    if wanted != called:
        raise Violation(
            "splitting ops in the order in which their pieces are called",
            expected=", ".join(map(str, wanted)),
            got=", ".join(map(str, called)),
            program=graph.source(),
        )


@requirement("SPLIT-009")
@every_graph
def test_can_be_copied_and_printed(subject: Subject, name: str) -> None:
    """A deep copy, recompiled, does the same; printing shows every piece, each with its output."""
    graph = graph_for(subject, name)
    result = to_judge(subject, graph)
    with inside_subject("deepcopy, recompile and print of the split graph"):
        twin = copy.deepcopy(result.gm)
        twin.recompile()
        for child in twin.children():
            if isinstance(child, fx.GraphModule):
                child.recompile()
        text = result.gm.print_readable(print_output=False)
    for piece in result.pieces:
        if piece.name not in text:
            raise Violation(f"{piece.name} is not in the printed graph", got=text[:500])
        if (outputs := len(piece.graph.graph.find_nodes(op="output"))) != 1:
            raise Violation(f"output nodes of {piece.name}", expected="1", got=str(outputs))
    # a copy has parameters and buffers of its own
    has_state = bool([*graph.gm.parameters(), *graph.gm.buffers()])
    plain = copy.deepcopy(graph.gm) if has_state else None
    for size in list(graph.args)[:1]:
        wanted = run_graph(plain, graph, size) if plain else expected(graph, size)
        with inside_subject("the copy"):
            got = run_graph(twin, graph, size)
        check(wanted, got, program=graph.source, where=f"for {size} tokens")


@requirement("SPLIT-010")
@pytest.mark.parametrize(
    "name",
    [
        "nothing-to-split",
        "no-splitting-ops-named",
        "only-splitting-ops",
        "op-first",
        "op-last",
        "ops-back-to-back",
        "lone-empty",
        "size-only-piece",
        "fx:identity",
        "fx:empty",
        "fx:no-inputs",
        "fx:no-output-value",
        "fx:unused-nodes",
    ],
)
def test_extreme_graphs(subject: Subject, name: str) -> None:
    """Graphs at the edges do what they did; without a splitting op no piece is flagged."""
    graph = graph_for(subject, name)
    result = to_judge(subject, graph)
    check_equal(result.gm, graph)
    has_op = any(graphs.matches(node, graph.splitting_ops) for node in graph.gm.graph.nodes)
    flagged = [piece.name for piece in result.pieces if piece.is_splitting]
    if flagged and not has_op:
        raise Violation(
            "pieces without a splitting op are flagged", expected="[]", got=str(flagged)
        )


@requirement("SPLIT-011")
@every_graph
def test_same_placeholders(subject: Subject, name: str) -> None:
    """Placeholders keep order, name, target and default."""
    graph = graph_for(subject, name)
    gm = to_judge(subject, graph).gm

    def placeholders(module: fx.GraphModule) -> list[tuple[Any, ...]]:
        nodes = module.graph.find_nodes(op="placeholder")
        return [(node.name, node.target, *node.args) for node in nodes]

    if placeholders(graph.gm) != placeholders(gm):
        raise Violation(
            "placeholders (name, target, default)",
            expected=str(placeholders(graph.gm)),
            got=str(placeholders(gm)),
            program=graph.source(),
        )


@requirement("SPLIT-012")
@every_graph
def test_graph_is_left_intact(subject: Subject, name: str) -> None:
    """The graph that was given still does what it did, after the split graph has run too."""
    graph = graph_for(subject, name)
    result, given = to_judge(subject, graph), given_to(subject, graph)
    for size in list(graph.args)[:1]:
        with inside_subject("the split graph"):
            run_graph(result.gm, graph, size)
    check_equal(given, graph, list(graph.args)[:1])


@requirement("SPLIT-013")
@pytest.mark.parametrize(
    "name", ["fx:attributes", "fx:module-leaf", "fx:attribute-mutated", "fx:attribute-returned"]
)
def test_parameters_are_shared(subject: Subject, name: str) -> None:
    """Every parameter and buffer of the split graph lies where the graph has it."""
    graph = graph_for(subject, name)
    result = to_judge(subject, graph)
    ours = {each.data_ptr() for each in [*graph.gm.parameters(), *graph.gm.buffers()]}
    theirs = [*result.gm.named_parameters(), *result.gm.named_buffers()]
    for key, tensor in theirs:
        if tensor.data_ptr() not in ours:
            raise Violation(f"{key} was copied: {tuple(tensor.shape)} at a new address")
    if ours and not theirs:
        raise Violation("the split graph lost its parameters", expected=str(len(ours)), got="0")


@requirement("SPLIT-014")
@every_graph
def test_items_describe_children(subject: Subject, name: str) -> None:
    """Items name the children that the split graph calls, in the order of the calls."""
    graph = graph_for(subject, name)
    result = to_judge(subject, graph)
    with inside_subject("the children of the split graph"):
        called = [
            node.target
            for node in result.gm.graph.nodes
            if node.op == "call_module"
            and isinstance(result.gm.get_submodule(node.target), fx.GraphModule)
        ]
    names = [piece.name for piece in result.pieces]
    if names != called:
        raise Violation(
            "items in the order in which their pieces are called",
            expected=str(called),
            got=str(names),
            program=graph.source(),
        )
    ids = [piece.graph_id for piece in result.pieces]
    if ids != sorted(set(ids)):
        raise Violation("graph ids", expected="ascending and unique", got=str(ids))
    for piece in result.pieces:
        if result.gm.get_submodule(piece.name) is not piece.graph:
            raise Violation(f"the graph of item {piece.name} is not the child of that name")


@requirement("SPLIT-015")
@every_graph
def test_each_op_once(subject: Subject, name: str) -> None:
    """Every op that computes or has an effect is called as often as in the graph, but for what
    has no effect and no use.
    """
    graph = graph_for(subject, name)
    result = to_judge(subject, graph)

    def calls(nodes: Any) -> Counter[str]:
        return Counter(str(node.target) for node in nodes if graphs.computes(node))

    wanted = calls(graph.gm.graph.nodes)
    inside = [node for piece in result.pieces for node in piece.graph.graph.nodes]
    outside = [node for node in result.gm.graph.nodes if node.op != "call_module"]
    found = calls([*inside, *outside])
    spare = calls(graphs.without_use(graph.gm.graph))
    if found - wanted or wanted - found - spare:
        raise Violation(
            "the number of calls of each op",
            expected=str(dict(wanted - found) or "no more"),
            got=str(dict(found - wanted) or "fewer"),
            program=graph.source(),
        )


@requirement("SPLIT-017")
@every_graph
def test_no_needless_flag(subject: Subject, name: str) -> None:
    """A piece is flagged only if it holds a splitting op."""
    graph = graph_for(subject, name)
    for piece in to_judge(subject, graph).pieces:
        if piece.is_splitting and not any(
            graphs.matches(node, graph.splitting_ops) for node in piece.graph.graph.nodes
        ):
            raise Violation(
                f"piece {piece.name} is flagged as splitting, but has no splitting op",
                got=str(piece.graph.graph),
                program=graph.source(),
            )
