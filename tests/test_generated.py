"""The generator of programs: what it draws, and that its two ways to build one agree."""

from __future__ import annotations

import os
from collections import Counter

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from piecewise_conformance.fuzzing.judging import CONTEXT, as_graph, runs
from piecewise_conformance.testkit.drive import run_graph
from piecewise_conformance.testkit.oracle import observe
from piecewise_fixtures.forward_context import set_forward_context
from piecewise_fixtures.generated import (
    FEATURES,
    SIZES,
    Program,
    as_module,
    as_program,
    features_of,
    forget,
    from_json,
    seeded,
)
from piecewise_fixtures.generated.strategy import programs

# How many are run and captured; `nox -s programs` takes 2,000.
PROGRAMS = int(os.environ.get("PIECEWISE_PROGRAMS", "100"))
BATCH = 100


def test_every_feature_is_drawn() -> None:
    """Over 2,000 programs every listed feature occurs in at least one of a hundred."""
    counted: Counter[str] = Counter()
    for number in range(2000):
        counted.update(features_of(seeded(f"statistics:{number}")))
    rare = {each: counted[each] for each in FEATURES if counted[each] < 20}
    assert not rare


def test_programs_are_data() -> None:
    """A program is the same after it was written as JSON and read."""
    for number in range(200):
        program = seeded(f"json:{number}")
        again = from_json(program.to_json())
        assert again == program
        assert again.to_json() == program.to_json()


def batches(programs: int) -> range:
    """The numbers of batches of a hundred."""
    return range(-(-programs // BATCH))


@pytest.mark.parametrize("batch", batches(PROGRAMS))
def test_programs_run(batch: int) -> None:
    """At most one program of twenty does not run as it is."""
    numbers = range(batch * BATCH, (batch + 1) * BATCH)
    assert sum(not runs(seeded(f"runs:{number}")) for number in numbers) <= BATCH // 20


@pytest.mark.parametrize("batch", batches(PROGRAMS))
def test_dynamo_captures_programs(batch: int) -> None:
    """At least 95 of a hundred programs are captured as one graph."""
    lost = []
    for number in range(batch * BATCH, (batch + 1) * BATCH):
        program = as_program(seeded(f"capture:{number}"))
        torch._dynamo.reset()
        compiled = torch.compile(program.build(), backend="eager", fullgraph=True)
        try:
            with set_forward_context(CONTEXT), torch.no_grad():
                compiled(*program.inputs(SIZES[0]))
        except torch._dynamo.exc.Unsupported as error:
            lost.append(str(error)[:200])
        finally:
            forget(program.module)
    torch._dynamo.reset()
    assert len(lost) <= BATCH // 20, lost


@pytest.mark.parametrize("number", range(25))
def test_both_ways_agree(number: int) -> None:
    """A program as a graph does what it does as a module, for every size."""
    program = seeded(f"agree:{number}")
    graph = as_graph(program)
    with set_forward_context(CONTEXT), torch.no_grad():
        for size in SIZES:
            module = as_module(program)
            expected = observe(module, list(as_program(program).inputs(size)))
            got = run_graph(graph.gm, graph, size)
            # Dynamo puts outputs together itself: a graph returns what there is to return
            for ours, theirs in zip(_leaves(got.outputs), _leaves(expected.outputs), strict=True):
                if isinstance(theirs, torch.Tensor):
                    assert torch.equal(ours, theirs) or bool(torch.isnan(theirs).any())


def _leaves(values: object) -> list[object]:
    return list(torch.utils._pytree.tree_leaves(values))


@settings(
    max_examples=20,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(programs())
def test_hypothesis_draws_programs(program: Program) -> None:
    """What hypothesis draws is a program as any other."""
    assert from_json(program.to_json()) == program
    assert features_of(program) <= set(FEATURES)
