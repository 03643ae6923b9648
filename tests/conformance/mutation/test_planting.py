"""Planting faults in copies of the reference."""

from __future__ import annotations

import ast
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from piecewise_conformance import mutation
from piecewise_conformance.core import coverage
from piecewise_conformance.mutation import Mutant, Patch, planting

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
    return Mutant(name, "A.", tuple(Patch(*each) for each in patches), frozenset(), "none.toml")


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
    monkeypatch.setattr(planting, "REFERENCE", tmp_path)
    return tmp_path


def line_of(text: str) -> int:
    """The line of SOURCE that holds ``text``, which stands there once."""
    (found,) = [n for n, line in enumerate(SOURCE.splitlines(), 1) if text in line]
    return found


@pytest.mark.parametrize(("old", "times"), [("absent", 0), ("LIMIT", 4)])
def test_a_patch_must_match_once(old: str, times: int) -> None:
    """Otherwise it is not known what was planted; the error names file, count and text."""
    with pytest.raises(ValueError, match=rf"stands {times} times in module\.py[^$]*{old}"):
        planting.apply([Patch(FILE, old, "x")], FILE, SOURCE)


def test_patches_of_other_files_do_not_matter() -> None:
    """Several patches of one file are all applied."""
    patches = [Patch("other.py", "absent", ""), Patch(FILE, "z * 2", "z * 3")]
    patches += [Patch(FILE, "x + 1", "x + 2")]
    changed = planting.apply(patches, FILE, SOURCE)
    assert changed == SOURCE.replace("z * 2", "z * 3").replace("x + 1", "x + 2")


def test_a_patch_of_no_file(fresh_modules: None) -> None:
    """A file that the reference does not have is told."""
    with pytest.raises(ValueError, match=r"self-test patches \['nowhere.py'\]"):
        planting.plant(mutant(("nowhere.py", "a", "b")))


def test_a_patch_that_does_not_match_cannot_be_planned() -> None:
    """What a mutant changes is looked up before it is planted; that error is as clear."""
    with pytest.raises(ValueError, match=r"0 times in ranges\.py"):
        planting.statements_of(mutant(("ranges.py", "this stands nowhere", "x")))


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


def test_mutants_share_their_loggers(fresh_modules: None, caplog: pytest.LogCaptureFixture) -> None:
    """However many there are, as many loggers as for one, which are heard as any other."""
    with caplog.at_level(logging.INFO):
        modules = [planting.plant(mutant(name=f"self-logs-{n}")) for n in range(3)]
        loggers = [sys.modules[f"{each.__name__}.manager"].logger for each in modules]
        loggers[0].info("said")
    assert loggers[0] is loggers[1] is loggers[2]
    assert "said" in caplog.messages
    assert not any("self_logs" in name for name in logging.root.manager.loggerDict)


def test_names_that_differ_stay_apart(fresh_modules: None) -> None:
    """One mutant's package is never another's."""
    patch = ("ranges.py", INSIDE, "return False")
    assert planting.plant(mutant(name="self-a-b")) is not planting.plant(
        mutant(patch, name="self-a_b")
    )


def test_a_planted_fault_is_a_subject() -> None:
    """By its name, with its name for its origin; an unknown one is told."""
    name = next(iter(mutation.catalogue()))
    subject = mutation.load(name)
    assert (subject.name, subject.origin) == (name, f"mutant:{name}")
    with pytest.raises(ValueError, match="there is no mutant 'nothing'"):
        mutation.load("nothing")


@pytest.mark.parametrize(
    ("old", "expected"),
    [
        ("            by = LIMIT\n", ["by = LIMIT"]),
        ("        self.size += by\n        return self\n", ["self.size += by", "return self"]),
        ("        w = z * 2\n", ["w = z * 2"]),
        ("        if by > LIMIT:\n            by = LIMIT\n", ["if by > LIMIT", "by = LIMIT"]),
        ("        return None\n", ["return None"]),
        ("    except ValueError:\n", ["try:"]),
        ("    size = LIMIT\n", None),
        ("LIMIT = 3\n", None),
        ("class Box:\n", None),
        ("def outer(x):\n", None),
        ("    def inner(z):\n", ["def inner(z)"]),
        ("LIMIT = 3\n\n\nclass Box:\n", None),
    ],
)
def test_statements_of_a_patch(small_reference: Path, old: str, expected: list[str] | None) -> None:
    """The innermost statement of each line; outside functions, the whole file."""
    wanted = (
        {FILE} if expected is None else {coverage.key(FILE, line_of(each)) for each in expected}
    )
    assert planting.statements_of(mutant((FILE, old, "x"))) == wanted


def test_what_is_instrumented_still_works() -> None:
    """Each statement is reported when it runs, and not before."""
    code = ast.fix_missing_locations(planting._Instrument(FILE).visit(ast.parse(SOURCE)))
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
    package = planting.instrumented()
    made = package.Range(1, 4)
    coverage.take()
    assert 3 in made
    reached = set(coverage.take())
    assert planting.statements_of(mutant(("ranges.py", INSIDE, ""))) & reached
    assert all(each.startswith("ranges.py:") for each in reached)
    coverage.add(["child.py:1"])
    assert coverage.take() == ["child.py:1"]
    assert coverage.take() == []


@pytest.mark.parametrize("name", mutation.catalogue())
def test_every_mutant_can_be_planted(name: str) -> None:
    """Its patches match, what they make is Python and not what was there, and can be reached."""
    chosen = mutation.catalogue()[name]
    assert chosen.patches
    for file in {patch.file for patch in chosen.patches}:
        source = (planting.REFERENCE / file).read_text()
        changed = planting.apply(chosen.patches, file, source)
        assert ast.dump(ast.parse(changed)) != ast.dump(ast.parse(source))
        compile(changed, file, "exec")
    assert planting.statements_of(chosen)
