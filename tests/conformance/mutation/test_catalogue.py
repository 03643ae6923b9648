"""The catalogue of mutants: how its tables are read."""

from __future__ import annotations

from pathlib import Path

import pytest
from piecewise_conformance.mutation import verdicts
from piecewise_conformance.mutation.catalogue import Patch, catalogue, declared
from piecewise_conformance.mutation.matrix import Run


def table(name: str, fails: str | None = "[]", kind: str = "mutant") -> str:
    """A table of the catalogue."""
    line = f"fails = {fails}\n" if fails is not None else ""
    patch = f'about = "A."\nfile = "f.py"\nold = """\n    fails = [1]\n"""\nnew = "y"\n{line}'
    return f'[[{kind}]]\nname = "{name}"\n{patch}\n'


def test_the_catalogue_is_read(tmp_path: Path) -> None:
    """Mutants and variants, with one patch or several."""
    several = '[[mutant.patch]]\nfile = "a.py"\nin = "C.f"\nstatement = "b"\nnew = "c"\n'
    text = f'[[mutant]]\nname = "two"\nabout = "A."\nfails = ["A-001"]\nslow = true\n{several * 2}'
    (tmp_path / "a.toml").write_text(table("one") + text + table("free", None, "variant"))
    found = catalogue(tmp_path)
    assert list(found) == ["one", "two", "free"]
    assert found["one"].patches == (Patch("f.py", "y", old="    fails = [1]\n"),)
    assert found["two"].patches == (Patch("a.py", "c", statement="b", inside="C.f"),) * 2
    assert (found["two"].slow, found["free"].is_variant) == (True, True)
    assert declared(tmp_path) == {"A-001": ["two"]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (table("one") * 2, "two mutants are named one"),
        ('[[mutant]]\nname = "one"\n', "one has no key 'about'"),
        ('[[mutant]]\nname = "one"\nabout = "A."\n', "one has no key 'file'"),
        ('[[mutant]]\nabout = "A."\n', "a table has no key"),
        (table("one").replace("old =", "text ="), "one: a mutant has unknown keys text"),
        (table("one") + "statement = 'x'\n", "one: a patch of f.py needs either"),
        (table("One"), "'One' must consist of lowercase letters"),
        (table("one") + 'kills = ["A-001"]\n', "one: a mutant has unknown keys kills"),
        (
            '[[mutant]]\nname = "one"\nabout = "A."\n[[mutant.patch]]\nfile = "f.py"\nold = "x"\n'
            'new = "y"\nfails = ["A-001"]\n',
            "one: a patch has unknown keys fails",
        ),
    ],
)
def test_a_malformed_table(tmp_path: Path, text: str, message: str) -> None:
    """The error names the file and the mutant."""
    (tmp_path / "a.toml").write_text(text)
    with pytest.raises(ValueError, match=rf"a\.toml: .*{message}"):
        catalogue(tmp_path)


def accepted(tmp_path: Path, text: str, **failed: list[str]) -> str:
    """The catalogue ``text`` after the measured failures are accepted."""
    (tmp_path / "a.toml").write_text(text)
    catalogue.cache_clear()
    runs = [
        run(f"t-{id}", id, "fail", name.replace("_", "-")) for name in failed for id in failed[name]
    ]
    wanted = {n: each for n, each in catalogue(tmp_path).items() if n.replace("-", "_") in failed}
    verdicts.accept(verdicts.judge(wanted, runs), tmp_path)
    return (tmp_path / "a.toml").read_text()


def run(test: str, id: str, status: str, subject: str) -> Run:
    """The run of a test on a mutant."""
    about = {"test": test, "id": id, "status": status, "subject": subject}
    return {**about, "message": "why", "seconds": 0.5}


def test_accepting_rewrites_one_line(tmp_path: Path) -> None:
    """The declaration of that mutant, and nothing else of the file; also one over several lines."""
    text = table("one") + table("one-more", '["B-001",\n  "B-002"]') + table("last")
    got = accepted(tmp_path, text, one_more=["A-002", "A-001"])
    assert got == text.replace('["B-001",\n  "B-002"]', '["A-001", "A-002"]')
    text = table("one") + table("two") + table("last")
    got = accepted(tmp_path, text, one=["A-001"], last=["A-002"])
    assert got == table("one", '["A-001"]') + table("two") + table("last", '["A-002"]')


def test_accepting_leaves_errors_and_variants_alone(tmp_path: Path) -> None:
    """An error is not a measurement, and a variant declares nothing."""
    text = table("one") + table("free", None, "variant")
    (tmp_path / "a.toml").write_text(text)
    runs = [run("t", "A-001", "fail", "one"), run("u", "A-001", "error", "one")]
    runs += [run("t", "A-001", "fail", "free")]
    verdicts.accept(verdicts.judge(catalogue(tmp_path), runs), tmp_path)
    assert (tmp_path / "a.toml").read_text() == text


def test_accepting_for_a_mutant_without_a_declaration(tmp_path: Path) -> None:
    """It is an error, and the declaration of the next mutant stays as it is."""
    text = table("one", None) + table("two")
    with pytest.raises(ValueError, match="one has no line 'fails"):
        accepted(tmp_path, text, one=["A-001"])
    assert (tmp_path / "a.toml").read_text() == text
