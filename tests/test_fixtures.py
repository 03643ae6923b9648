"""Fixtures: the same every time, and captured as one graph."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from piecewise_conformance.core import environment
from piecewise_conformance.testkit.graph_capture import all_names, captured, mark_dynamic
from piecewise_conformance.testkit.graphs import matches
from piecewise_conformance.testkit.oracle import check, observe
from piecewise_fixtures.forward_context import (
    ForwardContext,
    NoForwardContext,
    get_forward_context,
    set_forward_context,
)
from piecewise_fixtures.fx_graphs import GRAPHS
from piecewise_fixtures.programs import PROGRAMS, program
from torch.utils import _pytree as pytree

# One of each kind; the suite captures all of them.
SAMPLE = [
    "linear-chain",
    "advanced-index-after-op",
    "duplicate-outputs",
    "nested-outputs",
    "buffer-updated",
    "view-updated-across-op",
    "topk-across-op",
    "effects-only",
    "parameter-returned",
    "strided-outputs",
]

needs_transformers = pytest.mark.skipif(
    environment.missing("transformers") is not None,
    reason=environment.missing("transformers") or "",
)


def tensors(values: Any) -> list[torch.Tensor]:
    """The tensors among ``values``."""
    return [each for each in pytree.tree_leaves(values) if isinstance(each, torch.Tensor)]


def run_once(name: str) -> Any:
    """All that a fresh copy of a program does with fresh inputs of its first size."""
    chosen = program(name)
    module = chosen.build()
    watched = [*module.parameters(), *module.buffers()]
    with torch.no_grad():
        return observe(module, chosen.inputs(chosen.sizes[0]), watched=watched)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_is_the_same_every_time(name: str) -> None:
    """The same weights, and the same answer, whatever the random state is; which it leaves."""
    first = program(name).build().state_dict()
    torch.manual_seed(1)
    before = torch.get_rng_state()
    second = program(name).build().state_dict()
    assert torch.get_rng_state().equal(before)
    assert list(first) == list(second)
    assert all(first[each].equal(second[each]) for each in first)
    check(run_once(name), run_once(name))


@pytest.mark.parametrize("name", PROGRAMS)
def test_inputs_are_fresh_and_the_same(name: str) -> None:
    """A call may change its inputs without changing those of the next."""
    chosen = program(name)
    assert len(set(chosen.sizes)) == len(chosen.sizes)
    for size in chosen.sizes:
        one, other = chosen.inputs(size), chosen.inputs(size)
        check(observe(lambda *args: None, one), observe(lambda *args: None, other))
        memory = {each.untyped_storage().data_ptr() for each in tensors(one) if each.numel()}
        assert not memory & {each.untyped_storage().data_ptr() for each in tensors(other)}
    for position, dim in chosen.dynamic:
        if "batch-stays" in chosen.features and position == 0:
            continue  # that it stays is what the program is for
        lengths = {chosen.inputs(size)[position].shape[dim] for size in chosen.sizes}
        assert len(lengths) == len(chosen.sizes)


def test_a_program_that_is_not_there() -> None:
    """Its name is told, and which there are."""
    with pytest.raises(KeyError, match="no program 'nothing'; there are"):
        program("nothing")


@pytest.mark.parametrize("name", SAMPLE)
def test_a_program_is_one_graph(name: str) -> None:
    """Captured for its first size, the graph serves the others, and has its splitting ops."""
    chosen, graph = program(name), captured(name)
    assert set(graph.args) == set(chosen.sizes)
    found = [node for node in graph.gm.graph.nodes if matches(node, chosen.splitting_ops)]
    assert found
    for size in chosen.sizes:
        assert len(graph.args[size]) == len(graph.example_inputs)


def test_graphs_by_hand_are_captured_as_programs_are() -> None:
    """By a name of their own, with values at every node that has one."""
    assert {each.removeprefix("fx:") for each in all_names() if each.startswith("fx:")} == {*GRAPHS}
    graph = captured(f"fx:{next(iter(GRAPHS))}")
    placeholders = graph.gm.graph.find_nodes(op="placeholder")
    assert placeholders
    assert all("example_value" in node.meta for node in placeholders)


def test_a_fresh_graph_is_ones_own() -> None:
    """A subject that changes its graph changes it for nobody else."""
    graph = captured("linear-chain")
    before = graph.source()
    fresh = graph.fresh()
    for node in reversed(fresh.graph.nodes):
        fresh.graph.erase_node(node)
    assert graph.source() == before
    assert str(graph.fresh().graph) == before


@needs_transformers
def test_the_decoder_is_one_graph() -> None:
    """Of a dynamic number of tokens, with an attention op for each layer."""
    from piecewise_conformance.testkit.llama import decoder, one_sequence

    chosen = decoder()
    graphs = []
    model = chosen.build()

    def backend(gm: torch.fx.GraphModule, example_inputs: Any) -> Any:
        graphs.append(gm)
        return gm

    torch._dynamo.reset()
    compiled = torch.compile(model, backend=backend, fullgraph=True)

    def call(*fresh: Any) -> Any:
        mark_dynamic(chosen, fresh)
        return compiled(*fresh)

    with torch.no_grad():
        for size in (*chosen.sizes, 5):
            args = chosen.inputs(size)
            with set_forward_context(one_sequence(size)):
                expected = observe(model, args)
                check(expected, observe(call, args))
    torch._dynamo.reset()
    assert len(graphs) == 1
    found = [node for node in graphs[0].graph.nodes if matches(node, chosen.splitting_ops)]
    assert len(found) == 2


@needs_transformers
def test_the_decoder_is_the_same_every_time() -> None:
    """The same weights for the same seed, others for another, and the random state is left."""
    from piecewise_fixtures.llama import build_llama

    before = torch.get_rng_state()
    one, same, other = (build_llama(seed=seed).state_dict() for seed in (0, 0, 1))
    assert torch.get_rng_state().equal(before)
    assert all(one[name].equal(same[name]) for name in one)
    assert not all(one[name].equal(other[name]) for name in one)


def test_forward_contexts() -> None:
    """They nest, and their sequences must fit the tokens."""
    with pytest.raises(NoForwardContext, match="set_forward_context"):
        get_forward_context()
    outer, inner = ForwardContext((2, 1)), ForwardContext((5,))
    with set_forward_context(outer):
        with set_forward_context(inner):
            assert get_forward_context() is inner
        assert get_forward_context() is outer
    assert outer.starts(5) == [0, 0, 2, 5, 5]
    assert ForwardContext((2, 0, 1)).starts(3) == [0, 0, 2]
    with pytest.raises(ValueError, match="do not fit 2 tokens"):
        outer.starts(2)
