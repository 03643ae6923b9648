"""The spec, the suite and the mutants agree: nothing is asked that nothing tests."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from piecewise_conformance.core.requirements import SPEC_FOLDER, load
from piecewise_conformance.core.suite_scan import scan
from piecewise_conformance.mutation import catalogue as mutation

AT_LEAST = 45
NUMBERS = (1, 2, 3, 9, 10, 13, 26, 27, 51, 59, 62, 65, 69, 81, 83, 84, 85)
FAULTS = ["NEW-01", *(f"BUG-{number:02}" for number in NUMBERS)]
FILES = sorted(SPEC_FOLDER.glob("*.md"))
LIVE = {name: each for name, each in load().items() if not each.retired}


def test_there_are_enough() -> None:
    """Not a spec that lost half of itself."""
    assert len(LIVE) >= AT_LEAST


def test_every_requirement_has_a_test() -> None:
    """One that nothing tests would be passed by everybody."""
    cited = {each.requirement for each in scan().values()}
    assert sorted(set(LIVE) - cited) == []


def test_every_test_cites_a_requirement() -> None:
    """One that exists and is not retired."""
    cited = {each.node: each.requirement for each in scan().values()}
    assert {node: name for node, name in cited.items() if name not in LIVE} == {}


def test_tests_say_what_they_do() -> None:
    """Their first lines are shown by ``explain``."""
    assert [each.node for each in scan().values() if not each.doc] == []


def test_every_must_has_a_mutant() -> None:
    """Without one nobody knows that its test can fail."""
    declared = mutation.declared()
    bare = [each.id for each in LIVE.values() if each.level == "MUST" and each.id not in declared]
    assert bare == []


def test_mutants_declare_what_exists() -> None:
    """A mutant that fails nothing is no mutant, and a variant fails nothing."""
    catalogue = mutation.catalogue()
    assert catalogue
    for mutant in catalogue.values():
        assert mutant.fails | mutant.fails_on_gpu <= set(LIVE), mutant.name
        assert {each.partition("-")[0] for each in mutant.fails_on_gpu} <= {"GPU"}, mutant.name
        assert bool(mutant.fails) != mutant.is_variant, mutant.name
        assert mutant.about.endswith("."), mutant.name
        assert all(re.fullmatch(r"(NEW|BUG)-\d{2,3}", each) for each in mutant.faults), mutant.name


@pytest.mark.parametrize("path", FILES, ids=lambda each: each.name)
def test_a_file_is_a_family(path: Path) -> None:
    """A file holds the requirements of the family that it is named for, in ascending order."""
    ids = re.findall(r"^### (\S+)", path.read_text(encoding="utf-8"), re.M)
    assert ids
    assert {each.partition("-")[0] for each in ids} == {path.stem}
    assert ids == sorted(set(ids))
    assert [each for each in load() if each.partition("-")[0] == path.stem] == ids


def test_every_requirement_says_why() -> None:
    """In a paragraph for people, and its sentence is one that can be met or broken."""
    for each in load().values():
        assert each.why, each.id
        assert each.sentence.endswith("."), each.id
        assert each.profiles, each.id
        assert re.fullmatch(r"\d+\.\d+", each.since), each.id


def test_faults_have_names() -> None:
    """As the collection of known faults gives them."""
    for each in load().values():
        for fault in each.faults:
            assert re.fullmatch(r"(NEW|BUG)-\d{2,3}", fault), each.id
        assert max(Counter(each.faults).values(), default=1) == 1, each.id


@pytest.mark.parametrize("fault", FAULTS)
def test_a_known_fault_is_asked_about(fault: str) -> None:
    """Some requirement names it."""
    assert [each.id for each in LIVE.values() if fault in each.faults]
