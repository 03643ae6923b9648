"""The documents tell the truth: their commands run, their links lead somewhere."""

from __future__ import annotations

import re
import runpy
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from piecewise_conformance import cli, requirements

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]

# What these run takes minutes: CI runs them, or a test does in a smaller way.
SESSIONS = {"conformance", "tests", "smoke", "mutants", "build"}


def commands() -> list[str]:
    """Every command of the documents: lines of code that start with python."""
    found = []
    for document in DOCUMENTS:
        found += re.findall(r"^    (python .*)$", document.read_text(), flags=re.MULTILINE)
    return sorted(set(found))


def test_there_are_commands() -> None:
    """The extraction works."""
    assert "python -m piecewise_conformance list --family SPLIT" in commands()
    assert any("nox" in each for each in commands())


@pytest.mark.parametrize("command", [c for c in commands() if "nox" in c])
def test_sessions_exist(command: str) -> None:
    """A session that a document names is in the noxfile."""
    named = re.findall(r"nox -s (\w+)", command)
    text = (ROOT / "noxfile.py").read_text()
    assert named
    for session in named:
        assert session in SESSIONS
        assert f"def {session}(" in text


@pytest.mark.parametrize("command", [c for c in commands() if "nox" not in c])
def test_commands_run(command: str, tmp_path: Path) -> None:
    """A command of the harness does what it says, and exits with 0."""
    words = shlex.split(command)
    assert words[:2] == ["python", "-m"]
    if words[2] == "piecewise_conformance.mutants":
        words = [*words[:3], "--help"]  # the matrix itself is a step of the tests session
    elif "FAMILY-NNN" in words:
        words[words.index("FAMILY-NNN")] = "SPLIT-001"
    elif words[3] == "run":
        words += ["--jobs", "1"]
    done = subprocess.run(
        [sys.executable, *words[1:]], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links(document: Path) -> None:
    """What a document links to exists."""
    for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
        assert (document.parent / target).exists(), target


def test_counts() -> None:
    """The changelog's number of requirements is that of the spec."""
    told = re.search(r"(\d+) requirements in", (ROOT / "CHANGELOG.md").read_text())
    assert told
    assert int(told[1]) == len(requirements.load())


def test_every_fault_is_explained() -> None:
    """Faults that the spec names stand in docs/faults.md."""
    text = (ROOT / "docs" / "faults.md").read_text()
    named = {fault for each in requirements.load().values() for fault in each.faults}
    assert {fault for fault in named if f"| {fault} |" not in text} == set()


def test_cli_is_importable() -> None:
    """The script of the distribution has its entry."""
    assert callable(cli.main)


def test_every_module_is_listed() -> None:
    """The reader's guide names each module of the reference once, in its table."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    rows = re.findall(r"^\| [^|`]+ \| (`[^|]+) \|$", text, flags=re.MULTILINE)
    listed = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    modules = {path.stem for path in (ROOT / "reference" / "piecewise_reference").glob("*.py")}
    assert sorted(listed) == sorted(modules - {"__init__"})


# importing Inductor's compile_fx makes torch warn of a function of its own
@pytest.mark.filterwarnings("ignore:.*script_method:DeprecationWarning")
@pytest.mark.skipif(shutil.which("g++") is None, reason="Inductor needs a C++ compiler")
def test_walk_is_what_the_reference_does() -> None:
    """The walk in the reader's guide is printed by the reference as it is now."""
    walkthrough = runpy.run_path(str(ROOT / "tests" / "walkthrough.py"))
    assert (ROOT / "docs" / "architecture.md").read_text() == walkthrough["document"]()
