"""The documents are correct: their commands run, and their links lead somewhere."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import piecewise_reference
import pytest
import torch
from piecewise_conformance.certificate import write_certificate
from piecewise_conformance.cli import main
from piecewise_conformance.core import requirements
from piecewise_conformance.core.levels import load_levels
from piecewise_conformance.core.verdict import Status
from piecewise_conformance.history.sources import entry_of
from piecewise_conformance.history.store import append
from piecewise_conformance.reporting.report import (
    ReportWriter,
    Result,
    read_report,
)
from piecewise_conformance.reporting.shards import Shard
from piecewise_conformance.reporting.verdict import make_footer
from piecewise_conformance.subject.subject import ABILITIES, SURFACE

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs" / "findings").glob("*.md")),
]
# Commands of docs/test-your-backend.md: test_worked_example.py runs them, in order.
IN_ORDER = ("my_backend.py", "my_compiler.py", "--failed")


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


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_sessions_exist(document: Path) -> None:
    """A session that a document names is in the noxfile. To run it would take minutes."""
    text = (ROOT / "noxfile.py").read_text()
    for session in re.findall(r"nox -s ([\w-]+)", document.read_text()):
        assert f"def {session.replace('-', '_')}(" in text, session


def write_reports(folder: Path, *, shards: bool) -> None:
    """The reports that the documents speak of."""
    header = {
        "subject": {"name": "s", "spec": "s", "version": ""},
        "versions": {"torch": "2"},
        "device": "cpu",
        "seed": 0,
        "profiles": ["full"],
        "keyword": "",
        "started": "2026-01-01T00:00:00+00:00",
    }
    results = [Result("SPLIT-001", str(n), Status.PASS) for n in range(4)]
    names = ["shard-1", "shard-2"] if shards else ["old-report", "conformance-report"]
    names += [] if shards else ["other-report"]
    for number, name in enumerate(names, start=1):
        shard = Shard(number, 2) if shards else Shard(1, 1)
        writer = ReportWriter(folder / name / "report.jsonl")
        writer.start({**header, "shard": str(shard) if shards else None})
        mine = [each for each in results if shard.has(*each.key)]
        for each in mine:
            writer.add(each)
        writer.finish(make_footer(mine, seconds=0))


def write_certified(folder: Path) -> None:
    """A report of the newest level in which everything holds, with its certificate."""
    write_reports(folder.parent, shards=False)
    level = list(load_levels().values())[-1]
    header = read_report(folder / "report.jsonl").header
    writer = ReportWriter(folder / "report.jsonl")
    writer.start({**header, "level": level.name, "level_digest": level.digest})
    results = [Result(id, "case", Status.PASS) for id in level.sentences]
    for each in results:
        writer.add(each)
    writer.finish(make_footer(results, seconds=0))
    assert "certificate.json" in write_certificate(folder, requirements.load())


@pytest.mark.parametrize(
    "command",
    [c for c in commands() if "nox" not in c and not any(each in c for each in IN_ORDER)],
)
def test_commands_run(command: str, tmp_path: Path) -> None:
    """A command of the harness does what it says, and exits with 0."""
    words = shlex.split(command)
    if words == ["python", "tests/docs/walk.py"]:
        return  # writes into the document: test_the_walk_is_real makes the same and compares
    assert words[:2] == ["python", "-m"]
    if words[2] != "piecewise_conformance":
        words = [*words[:3], "--help"]  # the matrix takes long, and a level is frozen once
    elif "FAMILY-NNN" in words:
        words[words.index("FAMILY-NNN")] = "SPLIT-001"
    elif words[3] in ("diff", "render", "merge"):
        write_reports(tmp_path, shards=words[3] == "merge")
    elif words[3] == "history":
        write_reports(tmp_path, shards=False)
        append(tmp_path / "history", [entry_of(tmp_path / "conformance-report")])
        words += ["--nights", "1", "--trials", "1"] if words[4] == "simulate" else []
    elif words[3] == "verify":
        write_certified(tmp_path / "conformance-report")
    elif words[3] == "run":
        words += ["--jobs", "1"]
        words += ["--id", "RANGE-003"] if "--level" in words else []  # all of it takes minutes
    elif words[3] == "probes" and "--python" in words:
        words[-1] = sys.executable
    elif words[3] == "drift":  # without a download: the installed torch, compared with itself
        words[4:6] = [str(Path(torch.__file__).parents[1])] * 2
    done = subprocess.run(
        [sys.executable, *words[1:]], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links(document: Path) -> None:
    """The files that a document links to exist; the build of the site checks anchors."""
    families = {each.family for each in requirements.load().values()}
    generated = {f"requirements/{name}.md" for name in {"index", *families}}
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text()):
        assert target in generated or (document.parent / target).exists(), target


def test_every_fault_is_explained() -> None:
    """Faults that the spec names stand in docs/faults.md."""
    text = (ROOT / "docs" / "faults.md").read_text()
    named = {fault for each in requirements.load().values() for fault in each.faults}
    assert {fault for fault in named if f"| {fault} |" not in text} == set()


def test_the_walk_is_real() -> None:
    """What docs/architecture.md prints of one graph is what the reference prints."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "docs" / "walk.py"), "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    made = json.loads(done.stdout)
    told = re.findall(
        r"<!-- walk: ([a-z ]+) -->\n\n```text\n(.*?)\n```",
        (ROOT / "docs" / "architecture.md").read_text(),
        flags=re.DOTALL,
    )
    assert dict(told) == made
    assert len(told) == len(made)


def test_there_is_one_reading_order() -> None:
    """docs/architecture.md lists each module of the reference once, in the order of the folders and
    modules that the package's docstring gives.
    """
    text = (ROOT / "docs" / "architecture.md").read_text()
    listed = re.findall(r"^- `([\w/]+)\.py` – \S", text, flags=re.MULTILINE)
    package = ROOT / "reference" / "piecewise_reference"
    modules = [
        path.relative_to(package).with_suffix("").as_posix()
        for path in package.rglob("*.py")
        if path.name != "__init__.py"
    ]
    assert sorted(listed) == sorted(modules)
    order = re.findall(r"``(\w+)``", piecewise_reference.__doc__ or "")
    parts = list(dict.fromkeys(module.partition("/")[0] for module in listed))
    assert parts == order


@pytest.mark.parametrize("names", [SURFACE, ABILITIES], ids=["surface", "abilities"])
def test_what_a_subject_offers_is_listed(names: tuple[str, ...]) -> None:
    """docs/subjects.md has a line for each name and each ability."""
    text = (ROOT / "docs" / "subjects.md").read_text()
    assert [name for name in names if text.count(f"\n| `{name}` |") != 1] == []


def test_deviations_cite_requirements() -> None:
    """The requirements and families that docs/deviations.md cites exist."""
    known = requirements.load()
    for line in (ROOT / "docs" / "deviations.md").read_text().splitlines():
        if line.startswith("|") and not line.startswith(("| the seed |", "|---")):
            cited = line.strip("| ").rsplit("|", 1)[1].strip()
            for each in [] if cited == "–" else cited.split(", "):
                assert each in known or each in {name.split("-")[0] for name in known}, line


@pytest.mark.parametrize("peer", ["sglang", "vllm"])
def test_known_failures_link_to_sections(peer: str) -> None:
    """The sections of docs/findings that known failures link to exist."""
    page = (ROOT / "docs" / "findings" / f"{peer}.md").read_text()
    sections = {
        re.sub(r"[^a-z0-9 -]", "", each.lower()).replace(" ", "-")
        for each in re.findall(r"^## (.*)$", page, flags=re.MULTILINE)
    }
    folder = ROOT / "conformance" / "piecewise_conformance" / "known_failures"
    linked = re.findall(rf"findings/{peer}\.md#([\w-]+)", (folder / f"{peer}.toml").read_text())
    assert linked
    assert set(linked) <= sections


def test_the_api_page_is_complete() -> None:
    """docs/api.md documents each name that the reference exports, once."""
    text = (ROOT / "docs" / "api.md").read_text()
    listed = re.findall(r"^\.\. auto(?:class|function|data):: (\w+)$", text, flags=re.MULTILINE)
    assert sorted(listed) == sorted(piecewise_reference.__all__)


def test_cli_is_importable() -> None:
    """The script of the distribution has its entry."""
    assert callable(main.main)
