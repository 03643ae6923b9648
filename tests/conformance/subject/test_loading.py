"""From a SPEC to a subject, and what is said when that fails."""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from piecewise_conformance.repros.script import loading_of
from piecewise_conformance.subject.loading import LoadError, load_subject
from piecewise_conformance.subject.registry import SCHEMES

ECHO = str(Path(__file__).parents[2] / "miniature" / "echo.py")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty current folder; modules that a test imports from it are forgotten."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")) or name == "echo":
            del sys.modules[name]


def message(spec: str) -> str:
    """What is said when ``spec`` is loaded: one line."""
    with pytest.raises(LoadError) as caught:
        load_subject(spec)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_file() -> None:
    """A file is a subject by the names that it defines."""
    assert load_subject(ECHO).offers("make_backend")


def test_file_with_neighbours(folder: Path) -> None:
    """A file may import what lies beside it; its folder does not stay on the path."""
    inner = folder / "inner"
    inner.mkdir()
    (inner / "neighbour.py").write_text("def make_backend(options): return options")
    (inner / "mine.py").write_text(
        "import neighbour\nclass Mine:\n  make_backend = neighbour.make_backend\n"
    )
    assert load_subject("inner/mine.py:Mine").offers("make_backend")
    assert str(inner) not in sys.path


def test_module_and_attribute(folder: Path) -> None:
    """A module of the current folder can be named, with or without an attribute in it."""
    (folder / "mine.py").write_text(
        "class A:\n  class B:\n    make_backend = print\nmake_backend = print"
    )
    assert load_subject("mine").offers("make_backend")
    assert load_subject("mine:A.B").offers("make_backend")


def test_unknown_name() -> None:
    """The registered names are told, and what may have been meant."""
    text = message("referense")
    assert "no backend 'referense'" in text
    assert "did you mean reference?" in text


def test_missing_module() -> None:
    """The missing module is named, and the folder from which it was looked for."""
    assert "no module 'nowhere'" in message("nowhere.backend:thing")


def test_missing_attribute(folder: Path) -> None:
    """What the module has is told, and what may have been meant."""
    (folder / "mine.py").write_text("backend = 1")
    text = message("mine:backends")
    assert "no attribute 'backends'" in text
    assert "did you mean backend?" in text


@pytest.mark.parametrize("name", ["mine", "mine.py"])
def test_syntax_error(folder: Path, name: str) -> None:
    """File and line are told."""
    (folder / "mine.py").write_text("x = 1\ndef f(:\n")
    assert f"syntax error in {folder / 'mine.py'}:2" in message(name)


@pytest.mark.parametrize("name", ["mine", "mine.py"])
@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("import absent_thing", "No module named 'absent_thing'"),
        ("raise ValueError('too bad')", "ValueError: too bad"),
        ("import sys; sys.exit(0)", "SystemExit: 0"),
    ],
)
def test_what_importing_it_raises(folder: Path, name: str, code: str, says: str) -> None:
    """The exception of the module itself is told, and the line that it came from."""
    (folder / "mine.py").write_text(f"\n{code}\n")
    text = message(name)
    assert says in text
    assert "mine.py:2" in text


def test_missing_file() -> None:
    """The file is named."""
    assert "missing.py" in message("some/missing.py:x")
    assert "does not exist" in message("some/missing.py:x")


def test_path_that_is_no_python_file() -> None:
    """A path is told from a module name."""
    assert "does not end in .py" in message("some/thing")


def test_object_that_is_no_subject(folder: Path) -> None:
    """What a subject must have is told."""
    (folder / "mine.py").write_text("x = 1")
    assert "make_backend" in message("mine.py:x")


@pytest.mark.parametrize("spec", ["", "a b", "-x"])
def test_nonsense(spec: str) -> None:
    """What is no SPEC at all is told so."""
    assert message(spec)


def test_unknown_backend_of_dynamo() -> None:
    """What torch.compile knows is told."""
    text = message("dynamo:inducto")
    assert "aot_eager" in text
    assert "did you mean inductor?" in text


def test_backend_of_dynamo() -> None:
    """Any backend that torch.compile knows is a subject, those for debugging too."""
    assert load_subject("dynamo:eager").name == "dynamo:eager"


def test_dynamo_without_an_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a checkout that is not installed ``dynamo:NAME`` and the reference can be loaded too."""
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: ())
    assert load_subject("dynamo:eager").name == "dynamo:eager"
    assert load_subject("reference").name == "reference"


@pytest.fixture
def scheme(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed distribution that registers the scheme ``mine``."""
    monkeypatch.syspath_prepend(folder)
    information = folder / "mine-1.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1\n")
    (information / "entry_points.txt").write_text(f"[{SCHEMES}]\nmine = my_scheme:load\n")
    (folder / "my_scheme.py").write_text(
        "from piecewise_conformance.subject.subject import Subject\n"
        "def load(name):\n"
        "    if name != 'good':\n"
        "        raise ValueError(f'there is no {name}')\n"
        "    return Subject(name, f'mine:{name}', {'make_backend': print})\n"
    )


@pytest.mark.usefixtures("scheme")
def test_a_registered_scheme() -> None:
    """``KIND:REST`` is loaded by the function that is registered as the scheme KIND."""
    assert load_subject("mine:good").origin == "mine:good"
    assert "ValueError: there is no bad" in message("mine:bad")


@pytest.mark.usefixtures("scheme")
def test_a_script_loads_the_subject_of_a_scheme() -> None:
    """By its name; what registers the scheme must be installed."""
    assert loading_of("mine:good").spec == "mine:good"
    assert loading_of("mine:good").needs == "my_scheme"
