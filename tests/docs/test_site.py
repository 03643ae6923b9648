"""The extensions of the site: the pages of the requirements, and the check of links."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest
from piecewise_conformance.core import requirements
from piecewise_conformance.core.suite_scan import scan
from piecewise_conformance.mutation import catalogue

DOCS = Path(__file__).resolve().parents[2] / "docs"


def extension(name: str) -> ModuleType:
    """The module ``docs/_ext/NAME.py``."""
    spec = importlib.util.spec_from_file_location(name, DOCS / "_ext" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    """The generated pages, by file name."""
    made: dict[str, str] = extension("requirement_pages").pages()
    return made


def test_every_requirement_has_a_section(pages: dict[str, str]) -> None:
    """With its sentence, its tests and its mutants, on the page of its family."""
    known, declared = requirements.load().values(), catalogue.declared()
    tests: dict[str, list[str]] = {each.id: [] for each in known}
    for citation in scan().values():
        tests[citation.requirement].append(citation.node.rpartition("::")[2])
    for each in known:
        page = pages[f"{each.family}.md"]
        (section,) = re.findall(rf"^## {each.id}$(.*?)(?=^## |\Z)", page, flags=re.M | re.S)
        assert each.sentence in section
        listed = re.findall(r"^- `([^`]+)`: ", section, flags=re.M)
        mutants = declared.get(each.id, [])
        assert sorted(listed) == sorted([] if each.retired else [*tests[each.id], *mutants])
    assert set(pages) == {"index.md", *(f"{each.family}.md" for each in known)}


def test_the_pages_are_written_once(tmp_path: Path) -> None:
    """A page that has not changed keeps its time stamp; one of no family is deleted."""
    write = extension("requirement_pages").write
    folder = tmp_path / "requirements"
    write(folder)
    (folder / "GONE.md").touch()
    before = {path.name: path.stat().st_mtime_ns for path in folder.glob("[!G]*.md")}
    write(folder)
    assert before == {path.name: path.stat().st_mtime_ns for path in folder.glob("[!G]*.md")}
    assert not (folder / "GONE.md").exists()


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    """Links to no file and to no anchor are listed, others are not."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.html").write_text(
        '<p id="top"></p><a href="#top"></a><a href="sub/b.html#here"></a><a href="https://x/y"></a>'
        '<a href="#nowhere"></a><a href="c.html"></a><a href="sub/b.html#there"></a>'
    )
    (tmp_path / "sub" / "b.html").write_text('<p id="here"></p><a href="../a.html"></a>')
    assert extension("link_check").broken_links(tmp_path) == [
        "a.html: #nowhere: no such anchor",
        "a.html: c.html: no such file",
        "a.html: sub/b.html#there: no such anchor",
    ]
