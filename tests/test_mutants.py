"""Planting faults, choosing the tests that could see them, and judging what came of it."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from piecewise_conformance import mutants, reach
from piecewise_conformance.mutants import Mutant, Patch, planting
from piecewise_conformance.mutants import __main__ as matrix
from piecewise_conformance.mutants.plan import make_plan

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


def mutant(*patches: tuple[str, str, str], name: str = "self-test", **more: Any) -> Mutant:
    """A mutant that is in no catalogue."""
    fails = frozenset(more.pop("fails", ()))
    return Mutant(name, "A.", tuple(Patch(*each) for each in patches), fails, "none.toml", **more)


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


def test_names_that_differ_stay_apart(fresh_modules: None) -> None:
    """One mutant's package is never another's."""
    patch = ("ranges.py", INSIDE, "return False")
    assert planting.plant(mutant(name="self-a-b")) is not planting.plant(
        mutant(patch, name="self-a_b")
    )


def test_a_planted_fault_is_a_subject() -> None:
    """By its name, with its name for its origin; an unknown one is told."""
    name = next(iter(mutants.catalogue()))
    subject = mutants.load(name)
    assert (subject.name, subject.origin) == (name, f"mutant:{name}")
    with pytest.raises(ValueError, match="there is no mutant 'nothing'"):
        mutants.load("nothing")


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
    wanted = {FILE} if expected is None else {reach.key(FILE, line_of(each)) for each in expected}
    assert planting.statements_of(mutant((FILE, old, "x"))) == wanted


def test_what_is_instrumented_still_works() -> None:
    """Each statement is reported when it runs, and not before."""
    code = ast.fix_missing_locations(planting._Instrument(FILE).visit(ast.parse(SOURCE)))
    names: dict[str, Any] = {"__reached__": reach.reached, "__name__": "module"}
    reach.take()
    exec(compile(code, FILE, "exec"), names)
    assert reach.take() == []
    assert names["outer"](1) == 4
    statements = ["y = x + 1", "def inner", "w = z * 2", "return w", "try:", "return inner(y)"]
    assert reach.take() == sorted(reach.key(FILE, line_of(each)) for each in statements)
    assert names["Box"]().grow(1).size == 4
    assert reach.key(FILE, line_of("by = LIMIT")) not in reach.take()


def test_the_instrumented_reference_tells_its_reach() -> None:
    """A mutant's statements are among those that a test of that code reaches."""
    package = planting.instrumented()
    made = package.Range(1, 4)
    reach.take()
    assert 3 in made
    reached = set(reach.take())
    assert planting.statements_of(mutant(("ranges.py", INSIDE, ""))) & reached
    assert all(each.startswith("ranges.py:") for each in reached)
    reach.add(["child.py:1"])
    assert reach.take() == ["child.py:1"]
    assert reach.take() == []


@pytest.mark.parametrize("name", mutants.catalogue())
def test_every_mutant_can_be_planted(name: str) -> None:
    """Its patches match, what they make is Python and not what was there, and can be reached."""
    chosen = mutants.catalogue()[name]
    assert chosen.patches
    for file in {patch.file for patch in chosen.patches}:
        source = (planting.REFERENCE / file).read_text()
        changed = planting.apply(chosen.patches, file, source)
        assert ast.dump(ast.parse(changed)) != ast.dump(ast.parse(source))
        compile(changed, file, "exec")
    assert planting.statements_of(chosen)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty catalogue."""
    monkeypatch.setattr(mutants, "FOLDER", tmp_path)
    monkeypatch.setattr(matrix, "FOLDER", tmp_path)
    mutants.catalogue.cache_clear()
    yield tmp_path
    mutants.catalogue.cache_clear()


def table(name: str, fails: str | None = "[]", kind: str = "mutant") -> str:
    """A table of the catalogue."""
    line = f"fails = {fails}\n" if fails is not None else ""
    patch = f'about = "A."\nfile = "f.py"\nold = """\n    fails = [1]\n"""\nnew = "y"\n{line}'
    return f'[[{kind}]]\nname = "{name}"\n{patch}\n'


def test_the_catalogue_is_read(folder: Path) -> None:
    """Mutants and variants, with one patch or several."""
    several = '[[mutant.patch]]\nfile = "a.py"\nold = "b"\nnew = "c"\n'
    text = f'[[mutant]]\nname = "two"\nabout = "A."\nfails = ["A-001"]\nslow = true\n{several * 2}'
    (folder / "a.toml").write_text(table("one") + text + table("free", None, "variant"))
    found = mutants.catalogue()
    assert list(found) == ["one", "two", "free"]
    assert found["one"].patches == (Patch("f.py", "    fails = [1]\n", "y"),)
    assert len(found["two"].patches) == 2
    assert (found["two"].slow, found["free"].is_variant) == (True, True)
    assert mutants.declared() == {"A-001": ["two"]}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (table("one") * 2, "two mutants named one"),
        ('[[mutant]]\nname = "one"\n', "one lacks 'about'"),
        ('[[mutant]]\nname = "one"\nabout = "A."\n', "one lacks 'file'"),
        ('[[mutant]]\nabout = "A."\n', "a table lacks"),
    ],
)
def test_a_wrong_table(folder: Path, text: str, says: str) -> None:
    """Names file and mutant."""
    (folder / "a.toml").write_text(text)
    with pytest.raises(ValueError, match=rf"a\.toml: .*{says}"):
        mutants.catalogue()


# -- which tests, and what came of them --------------------------------------------------------


def run(test: str, id: str = "A-001", status: str = "pass", **more: Any) -> dict[str, Any]:
    """A line of a matrix run."""
    line = {"test": test, "subject": "m", "id": id, "status": status, "message": "why"}
    return {**line, "seconds": 0.5, "slow": False, "reached": ["ranges.py:1"], **more}


def planned(*runs: dict[str, Any], touches: str = INSIDE, **more: Any) -> list[str]:
    """The tests that a mutant of ``Range.__contains__`` would be run on."""
    chosen = mutant(("ranges.py", touches, "return False"), name="m", **more)
    plan = make_plan({"m": chosen}, list(runs))
    assert all(names == ["m"] for names in plan.values())
    return sorted(plan)


@pytest.fixture
def inside() -> list[str]:
    """What a test reaches that calls ``Range.__contains__``."""
    return sorted(planting.statements_of(mutant(("ranges.py", INSIDE, ""))))


def test_only_tests_that_reach_a_fault_are_run(inside: list[str]) -> None:
    """And of those only such as the reference passes."""
    runs = [
        run("reaches", reached=inside),
        run("beside", reached=["ranges.py:1"]),
        run("elsewhere", reached=["plan.py:1"]),
        run("unsupported", reached=inside, status="unsupported"),
    ]
    assert planned(*runs) == ["reaches"]


def test_a_fault_outside_functions_is_reached_by_the_file() -> None:
    """Any statement of the file will do, and none of another file."""
    runs = [run("here", reached=["ranges.py:1"]), run("there", reached=["plan.py:1"])]
    assert planned(*runs, touches="    start: int\n") == ["here"]


def test_the_lowest_level_that_reaches_a_fault_is_run(inside: list[str]) -> None:
    """One part before the whole backend before what takes seconds; declared ones at each level."""
    part = run("part", reached=inside)
    whole = run("whole", reached=[*inside, "backend.py:1"])
    slow = run("slow", slow=True, reached=[])
    declared = {"fails": ["A-001"]}
    other = run("other", id="A-002", reached=[*inside, "backend.py:1"])
    assert planned(part, other, slow, **declared) == ["part"]
    assert planned(part, whole, slow, **declared) == ["part", "whole"]
    assert planned(whole, slow, **declared) == ["whole"]
    assert planned(slow, **declared) == ["slow"]
    assert planned(part, whole, slow, slow=True, **declared) == ["slow"]


def test_what_is_declared_is_run_in_full(inside: list[str]) -> None:
    """Of what is not declared one test, of another family one in all; thorough runs all."""
    runs = [run(f"{id}-{n}", id=id, reached=inside) for id in ("A-001", "A-002") for n in (1, 2)]
    assert planned(*runs, fails=["A-001"]) == ["A-001-1", "A-001-2", "A-002-1"]
    slow = [run(f"{id}[{n}]", id=id, slow=True) for id in ("A-001", "A-002") for n in (1, 2)]
    assert planned(*slow, fails=["A-001"]) == ["A-001[1]", "A-001[2]"]
    far = [run(f"B-00{n}", id=f"B-00{n}", reached=inside) for n in (1, 2)]
    assert planned(*far, fails=["A-001"]) == ["B-001"]
    chosen = {"m": mutant(("ranges.py", INSIDE, "return False"), name="m")}
    assert len(make_plan(chosen, runs, thorough=True)) == len(runs)


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
    """Right is only one that fails exactly what it declares."""
    chosen = {"m": mutant(name="m", fails=["A-001"])}
    runs = [run(f"t-{id}", id=id, status=status) for id, status in statuses.items()]
    (verdict,) = matrix.judge(chosen, {}, runs)
    assert verdict.right == right
    assert verdict.tests == len(statuses)
    assert verdict.seconds == 0.5 * len(statuses)


def test_a_variant_must_pass_something() -> None:
    """Everything that it is run on; on nothing it proves nothing."""
    variant = {"m": mutant(name="m", is_variant=True)}
    assert matrix.judge(variant, {}, [run("t")])[0].right
    assert not matrix.judge(variant, {}, [run("t", status="fail")])[0].right
    assert not matrix.judge(variant, {}, [])[0].right


def test_a_lost_worker_is_seen() -> None:
    """By every mutant that the lost test had to be run on, and by no other."""
    both = {name: mutant(name=name, fails=["A-001"]) for name in ("m", "n", "o")}
    runs = [run("t", subject=name, status="fail") for name in both]
    lost = {"test": "gone", "status": "lost"}
    verdicts = matrix.judge(both, {"gone": ["m", "n"]}, [*runs, lost])
    assert [each.right for each in verdicts] == [False, False, True]
    assert "gone killed its worker" in verdicts[0].errors[0]


def accepted(folder: Path, text: str, **failed: list[str]) -> str:
    """The catalogue ``text`` after what was measured is accepted."""
    (folder / "a.toml").write_text(text)
    mutants.catalogue.cache_clear()
    chosen = mutants.catalogue()
    runs = [
        run(f"t-{id}", id=id, status="fail", subject=name.replace("_", "-"))
        for name, ids in failed.items()
        for id in ids
    ]
    wanted = {name: each for name, each in chosen.items() if name.replace("-", "_") in failed}
    matrix.accept(matrix.judge(wanted, {}, runs))
    return (folder / "a.toml").read_text()


def test_accepting_rewrites_one_line(folder: Path) -> None:
    """The declaration of that mutant, and nothing else of the file; also one over several lines."""
    text = table("one") + table("one-more", '["B-001",\n  "B-002"]') + table("last")
    got = accepted(folder, text, one_more=["A-002", "A-001"])
    assert got == text.replace('["B-001",\n  "B-002"]', '["A-001", "A-002"]')
    text = table("one") + table("two") + table("last")
    got = accepted(folder, text, one=["A-001"], last=["A-002"])
    assert got == table("one", '["A-001"]') + table("two") + table("last", '["A-002"]')


def test_accepting_leaves_errors_and_variants_alone(folder: Path) -> None:
    """What came of an error is no measurement; a variant declares nothing."""
    text = table("one") + table("free", None, "variant")
    (folder / "a.toml").write_text(text)
    runs = [run("t", subject="one", status="fail"), run("u", subject="one", status="error")]
    runs += [run("t", subject="free", status="fail")]
    matrix.accept(matrix.judge(mutants.catalogue(), {}, runs))
    assert (folder / "a.toml").read_text() == text


def test_accepting_for_a_mutant_without_a_declaration(folder: Path) -> None:
    """An error, and never the declaration of the one that comes after it."""
    text = table("one", None) + table("two")
    with pytest.raises(ValueError, match="one has no line fails"):
        accepted(folder, text, one=["A-001"])
    assert (folder / "a.toml").read_text() == text
