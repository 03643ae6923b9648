"""Systematic mutation: the operators, the sample, the table of survivors, and what is kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("libcst")

from piecewise_conformance.mutation import planting
from piecewise_conformance.mutation.selection import SuiteTest, UntilKilled
from piecewise_conformance.mutation.systematic import __main__ as command
from piecewise_conformance.mutation.systematic import survivors
from piecewise_conformance.mutation.systematic.operators import Site, sites, sites_of
from piecewise_conformance.mutation.systematic.report import fate, show
from piecewise_conformance.mutation.systematic.sampling import sample

RANGES = "ranges.py"
BODY = '''\
"""Text."""
import a


def f(x: int = 0, *rest) -> {returns}:
    """Text."""
    {line}
'''


def made(line: str, returns: str = "int") -> set[tuple[str, str]]:
    """Operator and new text of each site on ``line``, which is the body of a function."""
    source = BODY.format(line=line.replace("\n", "\n    "), returns=returns)
    found = [each for each in sites_of("m.py", source) if each.line > 5]
    assert {each.inside for each in found} <= {"f"}
    for each in found:
        assert source.startswith(each.old, each.at)
        compile(source[: each.at] + each.new + source[each.at + len(each.old) :], "m.py", "exec")
    return {(each.operator, each.new) for each in found}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("y = x < g", {("comparison", ">="), ("boundary", "<=")}),
        ("y = x not in g", {("comparison", "in")}),
        ("y = x is None", {("comparison", "is not")}),
        ("y = x[-1]", {("boundary", "2"), ("boundary", "0")}),
        ("y = True", {("constant", "False")}),
        ("y = 'name'", {("constant", "'XXname'")}),
        ("y = (x and g)", {("boolean", "or")}),
        ("y = not x", {("boolean", "bool(x)")}),
        ("if x: y = g", {("boolean", "not (x)")}),
        ("if x is g: y = g", {("comparison", "is not")}),
        ("y = [z for z in x if z]", {("boolean", "not (z)")}),
        ("x.append(y)", {("deletion", "pass")}),
        ("x.y = g", {("deletion", "pass")}),
        ("y = g", set()),
        ("with x: y = g", {("deletion", '__import__("contextlib").nullcontext()')}),
        ("with x as y: y = g", set()),
        ("y = g(x, z, key=w)", {("swap", "z, x")}),
        ("y = g(x, *z)", set()),
        ("y = isinstance(x, z)", set()),
        ("return x", {("return", "None")}),
        ("return None", set()),
        ("raise ValueError('text %d' % (x + 1))", {("swallow", "pass")}),
        ("try:\n    y = x\nexcept E:\n    y = z  # why\n    w = z", {("swallow", "pass")}),
        ("try:\n    y = x\nexcept E:\n    pass", set()),
        ("logger.warning('text', x, 1)", set()),
        ("y: Literal['a'] = x", set()),
        ("y = f'{x == 1}'", set()),
        ("y = zip(x, z, strict=True)", {("swap", "z, x")}),
        ("import b", set()),
    ],
)
def test_operators(line: str, expected: set[tuple[str, str]]) -> None:
    """What each operator makes of a line, and what none of them touches."""
    assert made(line) == expected


def test_a_function_of_a_truth_value_returns_the_other() -> None:
    """None would be the same as False for most callers."""
    assert made("return g(x)", returns="bool") == {("return", "not (g(x))")}
    assert made("return x < g", returns="bool") == {("comparison", ">="), ("boundary", "<=")}


def test_ids_are_by_line_and_ordinal() -> None:
    """Several sites of one operator on one line are told apart; a mutant has a name for each."""
    found = sites_of("a/b_c.py", "X = [True, True]\n")
    assert [each.id for each in found] == ["a/b_c.py:1:constant:0", "a/b_c.py:1:constant:1"]
    assert found[1].after == "X = [True, False]"
    assert found[0].mutant.name == "a-b-c-py-1-constant-0"


@pytest.fixture(scope="module")
def everything() -> list[Site]:
    """The sites of the reference."""
    return sites(planting.REFERENCE)


def test_every_site_of_the_reference_can_be_planted(everything: list[Site]) -> None:
    """Each has a name of its own and changes its file to what is Python, as a mutant does."""
    assert len({each.mutant.name for each in everything}) == len(everything)
    assert {each.operator for each in everything} == {
        *("comparison", "boundary", "constant", "boolean"),
        *("deletion", "swap", "return", "swallow"),
    }
    for site in sample(everything, 100, seed=0):
        planting.check(site.mutant)
        assert planting.patched_sources(site.mutant)[site.file].count(site.new)


def test_a_site_that_has_moved_cannot_be_planted(everything: list[Site]) -> None:
    """A text that does not stand at its position is refused."""
    (patch,) = everything[0].mutant.patches
    with pytest.raises(ValueError, match="expected this text at"):
        planting.apply(patch, "x = 1\n")


def test_a_sample_is_spread_and_the_same_each_time(everything: list[Site]) -> None:
    """A module has its share, the order of the sites does not matter, and the seed does."""
    drawn = sample(everything, 400, seed=0)
    assert drawn == sample(everything[::-1], 400, seed=0)
    assert len(set(drawn)) == 400
    assert set(drawn) != set(sample(everything, 400, seed=1))
    share = sum(each.file == "cache/manager.py" for each in everything) / len(everything)
    assert abs(sum(each.file == "cache/manager.py" for each in drawn) - 400 * share) <= 1
    assert set(sample(everything, 200, seed=0)) <= set(drawn)


# -- survivors -------------------------------------------------------------------------------------

ENTRY = """\
[[survivor]]
file = "m.py"
in = "f"
operator = "boundary"
before = "if x < 3:"
after = "if x <= 3:"
reason = "{reason}"
why = "x is never 3."
"""


def table(folder: Path, reason: str = "equivalent") -> Path:
    """A table with ENTRY."""
    path = folder / "survivors.toml"
    path.write_text(ENTRY.format(reason=reason))
    return path


def test_an_entry_survives_edits_elsewhere(tmp_path: Path) -> None:
    """It names function and line as text: lines above and indentation do not matter."""
    entries = survivors.load(table(tmp_path))
    for source in (
        "def f(x):\n    if x < 3:\n        g()\n",
        "\n\ndef f(x):\n  if  x < 3:\n    g()\n",
    ):
        found = sites_of("m.py", source)
        assert [each.rpartition(":")[0] for each in survivors.explained(found, entries)] == [
            f"m.py:{source[: source.index('if')].count(chr(10)) + 1}:boundary"
        ]
        assert survivors.unmatched(found, entries) == []
    for source in (
        "def g(x):\n    if x < 3:\n        g()\n",
        "def f(x):\n    if x < 4:\n        g()\n",
    ):
        found = sites_of("m.py", source)
        assert survivors.explained(found, entries) == {}
        assert survivors.unmatched(found, entries) == entries


def test_an_entry_gives_a_reason_of_the_list(tmp_path: Path) -> None:
    """Another reason is refused, and so is a table that lacks a key."""
    with pytest.raises(ValueError, match="a reason, one of equivalent, freedom"):
        survivors.load(table(tmp_path, "tedious"))
    (tmp_path / "short.toml").write_text('[[survivor]]\nfile = "m.py"\n')
    with pytest.raises(ValueError, match="before"):
        survivors.load(tmp_path / "short.toml")


def test_every_committed_entry_is_about_a_site(everything: list[Site]) -> None:
    """An entry about code that is gone is deleted."""
    assert survivors.unmatched(everything, survivors.load()) == []


# -- runs ------------------------------------------------------------------------------------------


def result(site: Site, killed_by: Any = None) -> dict[str, Any]:
    """What is kept of a mutant."""
    about = {"mutant": site.mutant.name, "tests": 3, "reached": True}
    return {**about, "killed_by": killed_by, "message": "why"}


KILLED = {"test": "t", "id": "A-001", "status": "fail"}


def test_fates_and_report(capsys: pytest.CaptureFixture[str]) -> None:
    """Killed, survived, explained, error and not run; the status is 1 for what is new."""
    one, two, *_ = found = sites_of("m.py", "def f(x):\n    return x < 3\n")
    ended = {one.mutant.name: result(one, KILLED)}
    assert fate(one, ended, {}) == "killed"
    assert fate(two, ended, {}) == "not run"
    entry = survivors.Explained("m.py", "f", two.operator, two.before, two.after, "freedom", "So.")
    assert show([one, two], ended, {two.id: entry}, [], 1.0) == 0
    assert "100%" in capsys.readouterr().out
    assert show([one], ended, {}, [entry], 1.0) == 1
    assert "no line of the reference matches: m.py: f" in capsys.readouterr().out
    ended[two.mutant.name] = result(two)
    assert fate(two, ended, {}) == "survived"
    assert show([one, two], ended, {}, [], 1.0) == 1
    assert f"survived {two.id} in f (3 tests)\n    - {two.before}" in capsys.readouterr().out
    broken = {found[2].mutant.name: result(found[2], {**KILLED, "status": "error"})}
    assert fate(found[2], broken, {}) == "error"


def test_results_are_kept_for_the_next_run(tmp_path: Path) -> None:
    """What was killed stays; what survived is run again if the suite has changed; results about
    another reference are refused, and a last line that was cut off counts for nothing.
    """
    one, two, *_ = sites_of("m.py", "def f(x):\n    return x < 3\n")
    path, header = tmp_path / "r.jsonl", {"reference": "r", "suite": "s"}
    assert command._begin(path, False, header) == {}
    with path.open("a") as file:
        print(json.dumps(result(one, KILLED)), json.dumps(result(two)), sep="\n", file=file)
        file.write('{"mutant": "cut')
    names = {one.mutant.name, two.mutant.name}
    assert command._begin(path, True, header).keys() == names
    assert command._read(path)[1].keys() == names
    assert command._begin(path, True, {**header, "suite": "t"}).keys() == {one.mutant.name}
    with pytest.raises(SystemExit, match="another version of the reference"):
        command._begin(path, True, {**header, "reference": "q"})
    assert command._begin(path, False, header) == {}


def test_selected_until_killed(everything: list[Site]) -> None:
    """A few cases of each test that reaches the line, slow ones too; all with ``thorough``."""
    site = next(s for s in everything if s.inside == "Range.__contains__")
    reached = (f"{RANGES}:{site.line}",)
    tests = [SuiteTest(f"t[{n:02}]", "A-001", False, reached) for n in range(10)]
    tests += [SuiteTest("slow", "A-001", True, reached), SuiteTest("far", "B-001", False, ())]
    few = [each.node for each in UntilKilled(tests).tests_of(site.mutant)]
    assert few == ["slow", "t[00]", "t[03]", "t[06]", "t[09]"]
    assert len(UntilKilled(tests, thorough=True).tests_of(site.mutant)) == 11
    unreached = [SuiteTest(f"far{n}", "B-001", False, ()) for n in range(3)]
    assert [each.node for each in UntilKilled(unreached).tests_of(site.mutant)] == ["far0"]


def test_a_real_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Mutants of one module on a part of the suite: each is over with its first failure."""
    path = tmp_path / "r.jsonl"
    arguments = ["--modules", RANGES, "--sample", "12", "--quick", "--jobs", "1"]
    arguments += ["-k", "RANGE-001 or RANGE-003", "--json"]
    command.main([*arguments, str(path)])
    header, ended = command._read(path)
    assert header["quick"]
    assert 1 <= len(ended) <= 12
    killed = [each for each in ended.values() if each["killed_by"]]
    assert killed
    assert {each["killed_by"]["id"] for each in killed} <= {"RANGE-001", "RANGE-003", ""}
    capsys.readouterr()
    command.main([*arguments, str(path), "--resume"])
    assert "0 to run" in capsys.readouterr().out
