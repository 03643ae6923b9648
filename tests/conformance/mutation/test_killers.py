"""What the matrix asks of a mutant: tests that failed it before first, and never believed."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from piecewise_conformance.core import coverage
from piecewise_conformance.core.suite_scan import scan, split_node
from piecewise_conformance.mutation import Mutant, catalogue, killers, planting, samples
from piecewise_conformance.mutation.leader import Leader, Task
from piecewise_conformance.mutation.plan import asked_of

IDS = {"a": "A-001", "b": "A-001", "c": "A-001", "other": "B-001"}
PLAN = {"a": ["m", "n"], "b": ["m", "n"], "c": ["m"], "other": ["m"]}


def run(test: str, status: str, subject: str = "m", seconds: float = 1.0) -> dict[str, Any]:
    """One run of a test on a mutant."""
    return {
        "test": test,
        "id": IDS[test],
        "subject": subject,
        "status": status,
        "seconds": seconds,
    }


def test_the_killer_stands_for_its_requirement() -> None:
    """Other requirements, and other mutants, are tried in full."""
    first = killers.first_tries(PLAN, IDS, {"m": {"A-001": "b"}})
    assert first == {"a": ["n"], "b": ["m", "n"], "other": ["m"]}


@pytest.mark.parametrize("killer", ["gone", "other"])
def test_a_killer_that_is_not_to_run(killer: str) -> None:
    """A test that is gone, or that does not reach the mutant, makes nothing superfluous."""
    plan = {test: names for test, names in PLAN.items() if test != killer}
    assert killers.first_tries(plan, IDS, {"m": {"A-001": killer}}) == plan


@pytest.mark.parametrize("status", ["pass", "unsupported", "error"])
def test_a_killer_that_does_not_fail(status: str) -> None:
    """All the others of its requirement are run, for that mutant."""
    first = killers.first_tries(PLAN, IDS, {"m": {"A-001": "b"}})
    left = killers.still_to_run(PLAN, first, IDS, [run("b", status), run("a", "fail", "n")])
    assert left == {"a": ["m"], "c": ["m"]}


@pytest.mark.parametrize("status", ["fail", "crash", "timeout"])
def test_a_killer_that_fails(status: str) -> None:
    """Nothing is left to run."""
    first = killers.first_tries(PLAN, IDS, {"m": {"A-001": "b"}})
    assert not killers.still_to_run(PLAN, first, IDS, [run("b", status)])


def test_the_quickest_is_kept(tmp_path: Path) -> None:
    """What is declared no more goes, what was not run stays."""
    path = tmp_path / "killers.json"
    path.write_text(json.dumps({"m": {"A-001": "c", "C-001": "x"}, "gone": {"A-001": "a"}}))
    known = {
        name: Mutant(name, "", (), frozenset({"A-001", "B-001"}), "x.toml") for name in ("m", "n")
    }
    runs = [run("a", "fail", seconds=2.0), run("b", "fail"), run("other", "pass")]
    killers.keep(runs, known, path)
    assert killers.load(path) == {"m": {"A-001": "b"}}
    killers.keep([run("other", "crash")], known, path)
    assert killers.load(path) == {"m": {"A-001": "b", "B-001": "other"}}


def test_what_is_kept_is_of_this_suite() -> None:
    """Each kept test is one of the requirement that it is kept for, and the mutant declares it."""
    functions = {node: each.requirement for node, each in scan().items()}
    for name, tests in killers.load().items():
        for requirement, test in tests.items():
            assert requirement in catalogue()[name].fails, name
            assert functions.get(split_node(test)[0]) == requirement, test


def test_what_a_part_of_the_suite_asks() -> None:
    """A mutant declares what is asked, more of it on a GPU, and is left out if that is nothing."""
    some = Mutant("some", "A.", (), frozenset({"A-001", "A-002"}), "none.toml")
    some = dataclasses.replace(some, fails_on_gpu=frozenset({"GPU-001"}))
    free = Mutant("free", "A.", (), frozenset(), "none.toml", is_variant=True)
    chosen = {"some": some, "free": free}

    def asked(on_gpu: bool, *ids: str) -> dict[str, frozenset[str]]:
        found = asked_of(chosen, set(ids), on_gpu=on_gpu)
        return {name: each.fails for name, each in found.items()}

    assert asked(False, "A-001", "GPU-001") == {"some": {"A-001"}, "free": set()}
    assert asked(True, "A-001", "GPU-001") == {"some": {"A-001", "GPU-001"}, "free": set()}
    assert asked(False, "GPU-001") == {"free": set()}


def test_samples_are_the_quickest(tmp_path: Path) -> None:
    """Eight of each requirement, by their least time; slow ones and failures are none."""
    path = tmp_path / "samples.json"
    runs = [
        {"test": f"t{n}", "id": "A-001", "status": "pass", "slow": False, "seconds": n / 100}
        for n in (7, 10, 1, 30, 9, 8, 3, 2, 5, 6, 4)
    ]
    runs += [{**runs[3], "seconds": 0.035}, {**runs[3], "seconds": 0.055}]
    runs += [{**runs[0], "test": "slow", "slow": True, "seconds": 0.0}]
    runs += [
        {**runs[0], "test": "other", "id": "B-001"},
        {**runs[0], "test": "x", "status": "fail"},
    ]
    samples.keep(runs, path)
    times = {"t1": 10, "t2": 20, "t3": 30, "t30": 35, "t4": 40, "t5": 50, "t6": 60, "t7": 70}
    assert list(samples.load(path).items()) == [*times.items(), ("other", 70)]
    functions = {split_node(test)[0] for test in samples.load()}
    assert functions <= set(scan())  # what is shipped is of the suite


def test_a_mutant_that_is_forgotten() -> None:
    """Is planted anew, without what it kept in its modules."""
    free = Mutant("self-forgotten", "A.", (), frozenset(), "none.toml")
    before = planting.plant(free)
    assert planting.plant(free) is before
    planting.forget(free)
    assert planting.plant(free) is not before
    planting.forget(free)


def test_samples_are_measured_in_a_round(tmp_path: Path) -> None:
    """Of each test three runs on the reference, and nothing else."""
    plan = tmp_path / "plan.json"
    leader = Leader(Task([], times=3), plan, [])
    assert leader.next_round(["a.py::t", "b.py::t"]) == {"a.py::t": 0.0, "b.py::t": 0.0}
    reference = [coverage.INSTRUMENTED] * 3
    assert json.loads(plan.read_text()) == {"a.py::t": reference, "b.py::t": reference}
    assert leader.next_round(["a.py::t", "b.py::t"]) is None
