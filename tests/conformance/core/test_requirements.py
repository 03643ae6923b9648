"""The parser of the spec."""

from __future__ import annotations

from pathlib import Path

import pytest
from piecewise_conformance.core.requirements import SpecError, load

MINIATURE = Path(__file__).parents[2] / "miniature" / "spec"

GOOD = """# MINI – title

### MINI-001
- level: MUST
- consequence: crash
- profiles: core
- since: 0.1
- source: here

**It works.**

Why: so.
"""


def written(folder: Path, text: str, name: str = "MINI.md") -> Path:
    """``folder`` with one spec file in it."""
    (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_reads_all_fields() -> None:
    """A requirement is what its block says; a sentence may take two lines, a why two paragraphs."""
    found = load(MINIATURE)
    assert list(found) == ["MINI-001", "MINI-002", "MINI-003", "MINI-004"]
    second = found["MINI-002"]
    assert second.family == "MINI"
    assert second.level == "MUST"
    assert second.consequence == "crash"
    assert second.profiles == {"core"}
    assert second.faults == ("NONE-01", "NONE-02")
    assert second.sentence == "The subject, when it is asked for it, survives."
    assert second.why == "for crashes.\n\nThere are several kinds."
    assert second.retired is None
    assert found["MINI-003"].sentence == "The subject is *polite*."
    assert found["MINI-004"].retired == "0.2 it asked for too much"


def test_the_spec_itself_parses() -> None:
    """The spec that ships has no fault that the parser knows."""
    assert load()


def test_profiles_select() -> None:
    """A requirement is selected by each profile that it lists, and by full."""
    found = load(MINIATURE)["MINI-001"]
    assert found.selected_by({"smoke"})
    assert found.selected_by({"gpu", "core"})
    assert found.selected_by({"full"})
    assert not found.selected_by({"inductor"})


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("# MINI – title", "# mini", 1, "first line"),
        ("### MINI-001", "### MINI-1", 3, "'MINI-1' is not an ID"),
        ("### MINI-001", "### SPLIT-001", 3, "file of MINI"),
        ("- since: 0.1\n", "", 3, "no value for: since"),
        ("- since: 0.1", "- since:", 3, "no value for: since"),
        ("level: MUST", "level: MAY", 3, "'MAY'"),
        ("profiles: core", "profiles: core, full", 3, "'full'"),
        ("consequence: crash", "consequence: pain", 3, "'pain', expected one of wrong-result"),
        ("- since: 0.1", "- sinse: 0.1", 7, "sinse"),
        ("- since: 0.1", "- source: x", 8, "twice"),
        ("**It works.**", "It works.", 3, "no sentence"),
        ("**It works.**", "**It** works.", 3, "no sentence"),
    ],
)
def test_says_what_is_wrong_and_where(
    tmp_path: Path, old: str, new: str, line: int, says: str
) -> None:
    """What does not parse is an error that begins with file and line."""
    assert old in GOOD
    with pytest.raises(SpecError) as caught:
        load(written(tmp_path, GOOD.replace(old, new)))
    assert str(caught.value).startswith(f"{tmp_path / 'MINI.md'}:{line}: ")
    assert says in str(caught.value)


def test_an_id_is_used_once(tmp_path: Path) -> None:
    """The error names both places."""
    written(tmp_path, GOOD, "A.md")
    written(tmp_path, GOOD, "B.md")
    with pytest.raises(SpecError, match=r"B\.md:3: MINI-001 is already defined at .*A\.md:3"):
        load(tmp_path)


def test_an_empty_folder_is_no_spec(tmp_path: Path) -> None:
    """A spec that was not found must not make every backend conformant."""
    with pytest.raises(SpecError, match="no spec file"):
        load(tmp_path)
