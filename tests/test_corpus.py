"""The corpus: each program shows the fault that it was written for."""

from __future__ import annotations

from typing import Any

import pytest
from piecewise_conformance import mutation
from piecewise_conformance.fuzzing.judging import judge
from piecewise_conformance.fuzzing.properties import properties
from piecewise_fixtures.generated.corpus import CAPTURED, corpus

# program, mutant of its fault class, what it fails
SHOWN = [
    ("tensor-index-after-op", "split-hoists-tensor-index", "SPLIT-001:same_result"),  # NEW-01
    ("tensor-index-made-after-op", "split-hoists-tensor-index", "SPLIT-015:each_op_once"),  # BUG-02
    ("assignment-after-op", "split-assignment-with-its-tensor", "SPLIT-001:same_result"),
    ("tuple-over-op", "split-tuple-of-splitting-op-stays-whole", "SPLIT-005:only_leaves_cross"),
    ("chunks-over-op", "split-output-tuple-of-tuples", "SPLIT-005:only_leaves_cross"),  # BUG-01
    ("size-over-op", "split-size-crosses", "SPLIT-005:only_leaves_cross"),  # BUG-03
    (
        "op-behind-splitting-op",
        "split-merges-into-splitting-piece",
        "SPLIT-003:flagged_pieces_hold_nothing_else",
    ),
    (
        "lone-op-between-ops",
        "split-op-keeps-what-follows",
        "SPLIT-003:flagged_pieces_hold_nothing_else",
    ),
    ("derived-symbol-over-op", "split-only-first-symbol-passed", "SPLIT-007:symbols_come_in"),
    ("size-arithmetic-over-op", "split-symbols-not-passed", "SPLIT-007:symbols_come_in"),  # BUG-08
    ("effects-only-piece", "split-no-output-node", "SPLIT-009:can_be_copied_and_printed"),
    ("nothing-to-do", "split-empty-graph", "SPLIT-006:every_graph_splits"),  # BUG-10
    ("write-before-op", "split-sorted-by-data", "SPLIT-001:same_result"),  # BUG-13
    ("piece-without-symbol", "interp-piece-without-symbol", "STITCH-001:drawn_calls"),  # BUG-65
    ("several-outputs", "compiler-eager-unwraps-all", "STITCH-001:drawn_calls"),  # BUG-74
    ("input-that-is-written", "copy-writes-lost", "STITCH-002:copied_inputs"),  # BUG-85
    ("size-arithmetic-over-op", "dyn-sizes-from-first-call", "STITCH-001:drawn_calls"),  # BUG-69
    (
        "several-outputs",
        "graph-static-inputs-of-the-largest-batch",
        "STITCH-002:copied_inputs",
    ),  # BUG-88
]


@pytest.mark.parametrize(("name", "mutant", "key"), SHOWN)
def test_a_program_shows_its_fault(name: str, mutant: str, key: str) -> None:
    """The mutant of its class fails it, and the reference does not."""
    program, asked = corpus()[name], [properties()[key]]
    assert [each.failed for each in judge(mutation.load(mutant), program, asked)] == [True]
    assert [each.failed for each in judge(_reference(), program, asked)] == [False]


def _reference() -> Any:
    from piecewise_conformance.subject.loading import load_subject

    return load_subject("reference")


def test_captured_programs_are_there() -> None:
    """Those that are to be captured are programs of the corpus."""
    assert set(CAPTURED) <= set(corpus())
