"""The catalogue of mutants: reading it, choosing the tests that could see a fault, and judging."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from piecewise_conformance import mutation
from piecewise_conformance.mutation import Mutant, Patch, planting
from piecewise_conformance.mutation import __main__ as matrix
from piecewise_conformance.mutation.plan import make_plan

INSIDE = "return self.start <= size <= self.end"  # of Range.__contains__


def mutant(*patches: tuple[str, str, str], name: str = "self-test", **more: Any) -> Mutant:
    """A mutant that is in no catalogue."""
    fails = frozenset(more.pop("fails", ()))
    patched = tuple(Patch(*each) for each in patches)
    return Mutant(name, "A.", patched, fails, "none.toml", **more)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty catalogue."""
    monkeypatch.setattr(mutation, "FOLDER", tmp_path)
    monkeypatch.setattr(matrix, "FOLDER", tmp_path)
    mutation.catalogue.cache_clear()
    yield tmp_path
    mutation.catalogue.cache_clear()


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
    found = mutation.catalogue()
    assert list(found) == ["one", "two", "free"]
    assert found["one"].patches == (Patch("f.py", "    fails = [1]\n", "y"),)
    assert len(found["two"].patches) == 2
    assert (found["two"].slow, found["free"].is_variant) == (True, True)
    assert mutation.declared() == {"A-001": ["two"]}


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
        mutation.catalogue()


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
    mutation.catalogue.cache_clear()
    chosen = mutation.catalogue()
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
    matrix.accept(matrix.judge(mutation.catalogue(), {}, runs))
    assert (folder / "a.toml").read_text() == text


def test_accepting_for_a_mutant_without_a_declaration(folder: Path) -> None:
    """An error, and never the declaration of the one that comes after it."""
    text = table("one", None) + table("two")
    with pytest.raises(ValueError, match="one has no line fails"):
        accepted(folder, text, one=["A-001"])
    assert (folder / "a.toml").read_text() == text
