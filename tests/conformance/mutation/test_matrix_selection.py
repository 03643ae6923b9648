"""Which tests a mutant is run on, and the verdict on what they did."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from piecewise_conformance.mutation.catalogue import Mutant, Patch
from piecewise_conformance.mutation.instrument import statements_of
from piecewise_conformance.mutation.selection import Selection, SuiteTest, declaring_here
from piecewise_conformance.mutation.verdicts import judge

INSIDE = "return self.start <= size <= self.end"  # of Range.__contains__


def mutant(old: str = INSIDE, **more: Any) -> Mutant:
    """A mutant of ``Range`` that is in no catalogue."""
    patch = Patch("ranges.py", "return False", old=old)
    return Mutant("m", "A.", (patch,), frozenset(more.pop("fails", ())), "none.toml", **more)


REACHED = tuple(sorted(statements_of(mutant())))
ELSEWHERE = ("ranges.py:1",)


def case(node: str, id: str = "A-001", reached: Sequence[str] = REACHED, **more: Any) -> SuiteTest:
    """A test that reaches ``Range.__contains__`` unless it says otherwise."""
    return SuiteTest(node, id, more.pop("slow", False), tuple(reached))


def selected(*tests: SuiteTest, thorough: bool = False, **more: Any) -> list[str]:
    """The tests that a mutant of ``Range.__contains__`` is run on."""
    return [test.node for test in Selection(tests, thorough=thorough).tests_of(mutant(**more))]


def test_only_tests_that_reach_a_fault_are_run() -> None:
    """A test that reaches other code of the file, or another file, is not run."""
    tests = [case("reaches"), case("beside", reached=ELSEWHERE), case("far", reached=["env.py:1"])]
    assert selected(*tests, fails=["A-001"]) == ["reaches"]


def test_a_fault_outside_functions_is_reached_by_the_file() -> None:
    """Any statement of the file counts as reaching it, and no statement of another file."""
    tests = [case("here", reached=ELSEWHERE), case("there", reached=["env.py:1"])]
    assert selected(*tests, old="    start: int\n", fails=["A-001"]) == ["here"]


def test_the_lowest_level_that_reaches_a_fault_is_run() -> None:
    """Tests of one part, then of the whole backend, then slow ones; declared ones at each level."""
    part, slow = case("part"), case("slow", slow=True, reached=[])
    whole = case("whole", reached=[*REACHED, "backend.py:1"])
    other = case("other", "A-002", reached=[*REACHED, "backend.py:1"])
    declared: dict[str, Any] = {"fails": ["A-001"]}
    assert selected(part, other, slow, **declared) == ["part"]
    assert selected(part, whole, slow, **declared) == ["part", "whole"]
    assert selected(whole, slow, **declared) == ["whole"]
    assert selected(slow, **declared) == ["slow"]
    assert selected(part, whole, slow, slow=True, **declared) == ["slow"]


def test_declared_requirements_are_run_in_full() -> None:
    """Of others in the family one test, of another family one in all; ``thorough`` runs all."""
    tests = [case(f"{id}-{n}", id) for id in ("A-001", "A-002") for n in (1, 2)]
    assert selected(*tests, fails=["A-001"]) == ["A-001-1", "A-001-2", "A-002-1"]
    assert len(selected(*tests, fails=["A-001"], thorough=True)) == len(tests)
    far = [case(f"B-00{n}", f"B-00{n}") for n in (1, 2)]
    assert selected(*far, fails=["A-001"]) == ["B-001"]
    slow = [case(f"{id}[{n}]", id, slow=True) for id in ("A-001", "A-002") for n in (1, 2)]
    assert selected(*slow, fails=["A-001"]) == ["A-001[1]", "A-001[2]"]


def test_the_sample_does_not_depend_on_the_order() -> None:
    """The same tests are sampled in each run, whatever order they came in."""
    tests = [case(f"b-{n}", "B-001") for n in range(9)]
    assert selected(*tests, fails=["A-001"]) == selected(*tests[::-1], fails=["A-001"]) == ["b-0"]


def test_a_variant_is_sampled_everywhere() -> None:
    """It declares nothing: one test of each requirement."""
    tests = [case(f"{id}-{n}", id) for id in ("A-001", "B-001", "B-002") for n in (1, 2)]
    assert selected(*tests, is_variant=True) == ["A-001-1", "B-001-1", "B-002-1"]


def test_a_part_of_the_suite_judges_what_it_asks() -> None:
    """Mutants declare what the run asks, and on a GPU what they fail there as well."""
    both = {"m": mutant(fails=["A-001", "A-002"], fails_on_gpu=frozenset({"G-001"}))}
    (found,) = declaring_here(both, {"A-001", "G-001"}, on_gpu=False).values()
    assert found.fails == {"A-001"}
    (found,) = declaring_here(both, {"A-001", "G-001"}, on_gpu=True).values()
    assert found.fails == {"A-001", "G-001"}
    assert declaring_here(both, {"B-001"}, on_gpu=True) == {}
    assert declaring_here({"v": mutant(is_variant=True)}, {"B-001"}, on_gpu=False)


def run(id: str, status: str) -> dict[str, Any]:
    """The run of a test of requirement ``id``."""
    about = {"test": f"t-{id}", "subject": "m", "id": id, "status": status}
    return {**about, "message": "why", "seconds": 0.5}


@pytest.mark.parametrize(
    ("statuses", "right"),
    [
        ({"A-001": "fail", "A-002": "pass"}, True),
        ({"A-001": "crash", "A-002": "pass"}, True),
        ({"A-001": "timeout"}, True),
        ({"A-001": "fail", "A-002": "unsupported", "A-003": "not-run"}, True),
        ({"A-001": "pass"}, False),  # a failure is missing
        ({"A-001": "fail", "A-002": "fail"}, False),  # one too many
        ({"A-001": "fail", "A-002": "error"}, False),  # the harness's own
        ({"A-001": "fail", "A-002": "xpass"}, False),
        ({"A-001": "unsupported"}, False),
        ({}, False),  # no test reaches it
    ],
)
def test_the_verdict_on_a_mutant(statuses: dict[str, str], right: bool) -> None:
    """A mutant is right only if it fails exactly what it declares."""
    runs = [run(id, status) for id, status in statuses.items()]
    (verdict,) = judge({"m": mutant(fails=["A-001"])}, runs)
    assert verdict.right == right
    assert verdict.tests == len(statuses)
    assert verdict.seconds == 0.5 * len(statuses)


def test_a_variant_must_pass_something() -> None:
    """It must pass everything that it is run on; with no test it proves nothing."""
    variant = {"m": mutant(is_variant=True)}
    assert judge(variant, [run("A-001", "pass")])[0].right
    assert not judge(variant, [run("A-001", "fail")])[0].right
    assert not judge(variant, [])[0].right
