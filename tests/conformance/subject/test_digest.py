"""The digest of a subject's files: what changes it, and what does not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from piecewise_conformance.subject.digest import digest_of
from piecewise_conformance.subject.subject import Subject

FILES = {
    "adapter.py": "import torch\nfrom helper import a\n\n\ndef f():\n    import mine.deep\n",
    "helper.py": "import os\na = 1\n",
    "mine/__init__.py": "",
    "mine/deep.py": "from . import other\n",
    "mine/other.py": "b = 1\n",
    "unused.py": "c = 1\n",
}


def written(folder: Path) -> Subject:
    """A subject of several files."""
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Subject("s", "s", {}, file=str(folder / "adapter.py"), adapter="elsewhere.py")


@pytest.mark.parametrize("name", FILES)
def test_every_file_of_the_subject_counts(name: str, tmp_path: Path) -> None:
    """Also a module that a function imports, or that a package of the subject has."""
    subject = written(tmp_path)
    before = digest_of(subject)
    assert before
    (tmp_path / name).write_text("changed = 1\n" + FILES[name])
    assert (digest_of(subject) == before) is (name == "unused.py")


def test_another_checkout_has_the_same_digest(tmp_path: Path) -> None:
    """Shards may run in different folders."""
    first = digest_of(written(tmp_path / "a"))
    assert first == digest_of(written(tmp_path / "b"))
    shutil.rmtree(tmp_path / "a")
    assert digest_of(Subject("s", "s", {}, file=str(tmp_path / "a" / "adapter.py"))) is None


def test_a_module_of_a_package_stands_for_the_package(tmp_path: Path) -> None:
    """Which it may import by relative names."""
    written(tmp_path)
    subject = Subject("s", "s", {}, file=str(tmp_path / "mine" / "deep.py"))
    before = digest_of(subject)
    (tmp_path / "mine" / "other.py").write_text("b = 2\n")
    assert digest_of(subject) != before


def test_a_subject_without_files() -> None:
    """As a backend that torch brings."""
    assert digest_of(Subject("s", "dynamo:eager", {})) is None
