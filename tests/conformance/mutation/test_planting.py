"""Planting faults in copies of the reference."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from piecewise_conformance.core import coverage
from piecewise_conformance.mutation import instrument, planting, subjects
from piecewise_conformance.mutation.catalogue import Mutant, Patch, catalogue

SOURCE = '''"""A module."""

LIMIT = 3


class Box:
    """A class."""

    size = LIMIT

    def grow(self, by):
        if by > LIMIT:
            by = LIMIT
        self.size += by
        return self


def outer(x):
    y = x + 1

    def inner(z):
        w = z * 2
        return w

    try:
        return inner(y)
    except ValueError:
        return None
'''
FILE = "module.py"
INSIDE = "return self.start <= size <= self.end"  # of Range.__contains__


def mutant(*patches: tuple[str, str, str], name: str = "self-test") -> Mutant:
    """A mutant that is in no catalogue."""
    made = tuple(Patch(file, new, old=old) for file, old, new in patches)
    return Mutant(name, "A.", made, frozenset(), "none.toml")


@pytest.fixture
def fresh_modules() -> Iterator[None]:
    """Forget the copies of the reference that a test plants."""
    before, finders = set(sys.modules), list(sys.meta_path)
    yield
    sys.meta_path[:] = finders
    for name in set(sys.modules) - before:
        if name.startswith("piecewise_mutant_"):
            del sys.modules[name]


@pytest.fixture
def small_reference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with SOURCE in the place of the reference."""
    (tmp_path / FILE).write_text(SOURCE)
    monkeypatch.setattr(instrument, "REFERENCE", tmp_path)
    return tmp_path


def line_of(text: str) -> int:
    """The line of SOURCE that holds ``text``, which stands there once."""
    (found,) = [n for n, line in enumerate(SOURCE.splitlines(), 1) if text in line]
    return found


def edited(patch: Patch) -> str:
    """SOURCE with ``patch``."""
    return planting.apply(patch, SOURCE)


@pytest.mark.parametrize(("old", "times"), [("absent", 0), ("LIMIT", 4)])
def test_a_patch_must_match_once(old: str, times: int) -> None:
    """Otherwise nobody knows what was planted; the error names file, count and text."""
    with pytest.raises(ValueError, match=rf"once in module\.py, found it {times} times[^$]*{old}"):
        edited(Patch(FILE, "x", old=old))


def test_a_text_is_looked_for_inside_a_function() -> None:
    """What occurs elsewhere in the file does not count; the name is a qualified one."""
    patch = Patch(FILE, "LIMIT + 1", old="LIMIT", inside="Box.grow")
    with pytest.raises(ValueError, match=r"once in Box\.grow in module\.py, found it 2 times"):
        edited(patch)
    assert edited(Patch(FILE, "z * 3", old="z * 2", inside="outer.inner")) == SOURCE.replace(
        "z * 2", "z * 3"
    )
    with pytest.raises(ValueError, match=r"module\.py has 0 definitions of Box\.shrink"):
        edited(Patch(FILE, "x", old="LIMIT", inside="Box.shrink"))


def test_indentation_is_relative() -> None:
    """Lines after the first are written, and looked for, relative to the first one."""
    old, new = "if by > LIMIT:\n    by = LIMIT", "if by < 0:\n    by = 0"
    assert edited(Patch(FILE, new, old=old)) == SOURCE.replace(
        "if by > LIMIT:\n            by = LIMIT", "if by < 0:\n            by = 0"
    )


def test_a_statement_is_replaced_as_a_whole() -> None:
    """Its beginning names it, so a patch quotes no more of it; the beginning must be unique."""
    assert edited(Patch(FILE, "return 1", statement="return inner")) == SOURCE.replace(
        "return inner(y)", "return 1"
    )
    assert "except ValueError" not in edited(Patch(FILE, "pass", statement="try:", inside="outer"))
    with pytest.raises(ValueError, match="found it 4 times"):
        edited(Patch(FILE, "pass", statement="return"))


def test_several_patches_of_one_file() -> None:
    """All are applied, and patches of other files do not matter."""
    faults = [("ranges.py", INSIDE, "return False"), ("env.py", "import os", "import os, sys")]
    faults += [("ranges.py", "class CompileRanges:", "class CompileRanges(object):")]
    texts = planting.patched_sources(mutant(*faults))
    assert set(texts) == {"ranges.py", "env.py"}
    assert "return False" in texts["ranges.py"]
    assert "class CompileRanges(object):" in texts["ranges.py"]


def test_a_mutant_that_cannot_be_planted() -> None:
    """A file that the reference does not have, and Python that is not valid, are errors."""
    with pytest.raises(ValueError, match=r"self-test patches nowhere\.py, which does not exist"):
        planting.check(mutant(("nowhere.py", "a", "b")))
    with pytest.raises(ValueError, match=r"self-test makes ranges\.py invalid"):
        planting.check(mutant(("ranges.py", INSIDE, "return (")))


def test_mutants_are_independent(fresh_modules: None) -> None:
    """Two mutants and the reference live in one process, each with all its modules."""
    import piecewise_reference

    plain = planting.plant(mutant(name="self-plain"))
    faulty = planting.plant(mutant(("ranges.py", INSIDE, "return False"), name="self-faulty"))
    packages = (piecewise_reference, plain, faulty)
    assert [4 in each.Range(1, 4) for each in packages] == [True, True, False]
    assert len({each.Range for each in packages}) == 3
    assert len({each.CompilerManager.__module__ for each in packages}) == 3
    assert planting.plant(mutant(name="self-plain")) is plain
    # whatever module of the copy uses a Range uses the copy's
    assert faulty.CompilerManager.load.__globals__["Range"] is faulty.Range


def test_a_planted_fault_is_a_subject() -> None:
    """By its name, with its name for its origin; an unknown one is told."""
    name = next(iter(catalogue()))
    subject = subjects.load(name)
    assert (subject.name, subject.origin) == (name, f"mutant:{name}")
    with pytest.raises(ValueError, match="unknown mutant 'nothing'"):
        subjects.load("nothing")


@pytest.mark.parametrize(
    ("old", "expected"),
    [
        ("by = LIMIT\n", ["by = LIMIT"]),
        ("self.size += by\nreturn self\n", ["self.size += by", "return self"]),
        ("w = z * 2\n", ["w = z * 2"]),
        ("if by > LIMIT:\n    by = LIMIT\n", ["if by > LIMIT", "by = LIMIT"]),
        ("return None\n", ["return None"]),
        ("except ValueError:\n", ["try:"]),
        ("size = LIMIT\n", None),
        ("LIMIT = 3\n", None),
        ("class Box:\n", None),
        ("def outer(x):\n", None),
        ("def inner(z):\n", ["def inner(z)"]),
        ("LIMIT = 3\n\n\nclass Box:\n", None),
    ],
)
def test_statements_of_a_patch(small_reference: Path, old: str, expected: list[str] | None) -> None:
    """The innermost statement of each line; outside functions, the whole file."""
    wanted = (
        {FILE} if expected is None else {coverage.key(FILE, line_of(each)) for each in expected}
    )
    assert instrument.statements_of(mutant((FILE, old, "x"))) == wanted


def test_what_is_instrumented_still_works() -> None:
    """Each statement is reported when it runs, and not before."""
    code = ast.fix_missing_locations(instrument._Instrument(FILE).visit(ast.parse(SOURCE)))
    names: dict[str, Any] = {"__reached__": coverage.reached, "__name__": "module"}
    coverage.take()
    exec(compile(code, FILE, "exec"), names)
    assert coverage.take() == []
    assert names["outer"](1) == 4
    statements = ["y = x + 1", "def inner", "w = z * 2", "return w", "try:", "return inner(y)"]
    assert coverage.take() == sorted(coverage.key(FILE, line_of(each)) for each in statements)
    assert names["Box"]().grow(1).size == 4
    assert coverage.key(FILE, line_of("by = LIMIT")) not in coverage.take()


def test_the_instrumented_reference_tells_its_reach() -> None:
    """A mutant's statements are among those that a test of that code reaches."""
    package = instrument.instrumented()
    made = package.Range(1, 4)
    coverage.take()
    assert 3 in made
    reached = set(coverage.take())
    assert instrument.statements_of(mutant(("ranges.py", INSIDE, ""))) & reached
    assert all(each.startswith("ranges.py:") for each in reached)
    coverage.add(["child.py:1"])
    assert coverage.take() == ["child.py:1"]
    assert coverage.take() == []


@pytest.mark.parametrize("name", catalogue())
def test_every_mutant_can_be_planted(name: str) -> None:
    """Its patches match, what they make is Python and not what was there, and can be reached."""
    chosen = catalogue()[name]
    assert chosen.patches
    for file, changed in planting.patched_sources(chosen).items():
        source = (planting.REFERENCE / file).read_text()
        assert ast.dump(ast.parse(changed)) != ast.dump(ast.parse(source))
        compile(changed, file, "exec")
    assert instrument.statements_of(chosen)
