"""What is read from the suite without running it."""

from __future__ import annotations

from pathlib import Path

import pytest
from piecewise_conformance.core.requirements import load
from piecewise_conformance.core.suite_scan import SuiteError, scan, split_node

MINIATURE = Path(__file__).parents[2] / "miniature"


def test_every_test_of_the_suite_cites_a_requirement_of_the_spec() -> None:
    """One that exists and is not retired."""
    requirements = load()
    for each in scan().values():
        assert requirements[each.requirement].retired is None


def test_finds_tests_with_their_citations() -> None:
    """By the node IDs that pytest will give them."""
    found = scan(MINIATURE / "suite")["test_mini.py::test_pass"]
    assert found.requirement == "MINI-001"
    assert found.doc == "The subject echoes."


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("def test_a(): pass", "1: test_a cites no requirement"),
        ('@requirement("A-001")\n@requirement("A-002")\ndef test_a(): pass', "more than one"),
        ("@requirement(ID)\ndef test_a(): pass", "literally"),
        ("class TestA:\n  def test_a(self): pass", "2: test_a cites no requirement"),
        ("def test_a(:", "1: "),
        ('@requirement("A-001")\ndef test_a(): pass\n' * 2, ""),
    ],
)
def test_a_test_cites_exactly_one(tmp_path: Path, code: str, says: str) -> None:
    """Anything else is an error that begins with file and line."""
    path = tmp_path / "test_x.py"
    path.write_text(code)
    if not says:
        assert len(scan(tmp_path)) == 1
        return
    with pytest.raises(SuiteError) as caught:
        scan(tmp_path)
    assert str(caught.value).startswith(f"{path}:")
    assert says in str(caught.value)


def test_a_case_has_one_name(tmp_path: Path) -> None:
    """Two files with the same test of one requirement would be one case in the report."""
    for name in ("test_x.py", "test_y.py"):
        (tmp_path / name).write_text('@requirement("A-001")\ndef test_a(): pass')
    with pytest.raises(SuiteError, match="already has a case 'a'"):
        scan(tmp_path)


def test_split_node() -> None:
    """Parameters may hold what else divides a node ID."""
    assert split_node("test_x.py::TestX::test_a[b::c[0]]") == (
        "test_x.py::TestX::test_a",
        "a[b::c[0]]",
    )
