"""Programs that nobody wrote: the same few in every run, by what must hold for any program.

`fuzz` searches on among others. All are marked slow: the kill matrix has quicker tests for each of
these requirements, on programs that were written for them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest
import torch
from piecewise_conformance.core.marks import requirement, slow
from piecewise_conformance.subject.subject import Subject
from piecewise_conformance.suite import test_split as split_tests
from piecewise_conformance.testkit.generated import checks
from piecewise_conformance.testkit.generated.programs import CONTEXT, Drawn, as_graph
from piecewise_conformance.testkit.graph_capture import Captured, given
from piecewise_fixtures.forward_context import set_forward_context
from piecewise_fixtures.generated import Program, seeded
from piecewise_fixtures.generated.build import Generated
from piecewise_fixtures.generated.corpus import CAPTURED as BY_DYNAMO
from piecewise_fixtures.generated.corpus import corpus

GRAPHS = [f"corpus:{name}" for name in corpus()] + [f"suite:{number}" for number in range(30)]
CAPTURED = [f"corpus:{name}" for name in BY_DYNAMO] + [f"captured:{number}" for number in range(6)]

drawn = pytest.mark.parametrize("name", GRAPHS)
captured = pytest.mark.parametrize("name", CAPTURED)


@cache
def _program(name: str) -> Program:
    kind, _, rest = name.partition(":")
    return corpus()[rest] if kind == "corpus" else seeded(name)


@cache
def _graph(name: str) -> Captured:
    return as_graph(_program(name))


@cache
def _built(name: str) -> Generated:
    return Drawn(_program(name)).built


def _check_graph(check: Callable[[Subject, str], None], subject: Subject, name: str) -> None:
    """A test of the suite that takes any graph, on the graph of one generated program."""
    subject.get("split_graph")
    with set_forward_context(CONTEXT), torch.no_grad(), given(_graph(name)) as graph:
        check(subject, graph)


def _check_program(
    check: Callable[[Subject, Generated], None], subject: Subject, name: str
) -> None:
    """A check of compiled programs, on one generated program."""
    with set_forward_context(CONTEXT), torch.no_grad():
        check(subject, _built(name))


@requirement("SPLIT-001")
@slow
@drawn
def test_drawn_same_result(subject: Subject, name: str) -> None:
    """The split of a drawn graph does what the graph does."""
    _check_graph(split_tests.test_same_result, subject, name)


@requirement("SPLIT-003")
@slow
@drawn
def test_drawn_flags(subject: Subject, name: str) -> None:
    """Flagged pieces of a drawn graph hold splitting ops alone."""
    _check_graph(split_tests.test_flagged_pieces_hold_nothing_else, subject, name)


@requirement("SPLIT-005")
@slow
@drawn
def test_drawn_leaves(subject: Subject, name: str) -> None:
    """Only tensors and numbers cross between the pieces of a drawn graph."""
    _check_graph(split_tests.test_only_leaves_cross, subject, name)


@requirement("SPLIT-007")
@slow
@drawn
def test_drawn_symbols(subject: Subject, name: str) -> None:
    """The symbols of a drawn graph's pieces come in as inputs."""
    _check_graph(split_tests.test_symbols_come_in, subject, name)


@requirement("SPLIT-008")
@slow
@drawn
def test_drawn_order(subject: Subject, name: str) -> None:
    """The splitting ops of a drawn graph run in its order."""
    _check_graph(split_tests.test_order_of_ops, subject, name)


@requirement("SPLIT-009")
@slow
@drawn
def test_drawn_copies(subject: Subject, name: str) -> None:
    """The split of a drawn graph can be copied, recompiled and printed."""
    _check_graph(split_tests.test_can_be_copied_and_printed, subject, name)


@requirement("SPLIT-015")
@slow
@drawn
def test_drawn_each_op_once(subject: Subject, name: str) -> None:
    """Each op of a drawn graph is in one piece."""
    _check_graph(split_tests.test_each_op_once, subject, name)


@requirement("STITCH-001")
@slow
@captured
def test_drawn_calls(subject: Subject, name: str) -> None:
    """A drawn program, compiled, does what it does at every size, in a drawn order of calls."""
    _check_program(checks.drawn_calls, subject, name)


@requirement("STITCH-002")
@slow
@captured
def test_drawn_copied_inputs(subject: Subject, name: str) -> None:
    """So it does with copied inputs, or the call is refused."""
    _check_program(checks.copied_inputs, subject, name)


@requirement("RANGE-005")
@slow
@captured
def test_drawn_ranges(subject: Subject, name: str) -> None:
    """So it does with drawn ranges and single sizes, at their ends and inside."""
    _check_program(checks.drawn_ranges, subject, name)


@requirement("SERIAL-002")
@slow
@pytest.mark.parametrize("name", ["corpus:several-outputs", "captured:0", "captured:1"])
def test_drawn_bytes(subject: Subject, name: str) -> None:
    """A drawn program that went through bytes, compiled, does what it does."""
    subject.get("serialize")
    _check_program(checks.drawn_bytes, subject, name)
