"""The workflows: they call sessions that exist, pin what they use, and pass the linters."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
ACTION = ROOT / ".github" / "actions" / "conformance"
FILES = [*WORKFLOWS, ACTION / "action.yml"]
SESSION = re.compile(r"python -m nox -s (\"\$SESSION\"|[\w-]+)( -- .*)?")
OTHERS = {"python -m pip install nox", ".github/push-history history"}


def commands(path: Path) -> list[str]:
    """The commands of a file: the values of its ``run`` keys."""
    found = re.findall(r"^ *(?:- )?run: (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert "|" not in found, "one command a step"
    return found


def sessions() -> set[str]:
    """The names of the sessions in the noxfile."""
    text = (ROOT / "noxfile.py").read_text(encoding="utf-8")
    named = set(re.findall(r"@nox\.session\(name=\"([\w-]+)\"\)", text))
    return named | set(re.findall(r"@nox\.session\ndef (\w+)", text))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_call_sessions(path: Path) -> None:
    """A workflow installs nox and calls sessions of the noxfile, nothing else."""
    text = path.read_text(encoding="utf-8")
    known = sessions()
    for command in commands(path):
        if command in OTHERS:
            continue
        found = SESSION.fullmatch(command)
        assert found, command
        names = [found[1]]
        if found[1].startswith('"'):
            listed = re.search(r"session: \[(.*)\]", text)
            assert listed
            names = listed[1].split(", ")
        assert set(names) <= known


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_actions_are_pinned(path: Path) -> None:
    """What others wrote is used by the digest of a commit, with its version as a comment."""
    for used in re.findall(r"uses: (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE):
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", used), used


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_permissions_are_least(path: Path) -> None:
    """A workflow may read; only the job that pushes the history may write."""
    text = path.read_text(encoding="utf-8")
    assert "\npermissions:\n  contents: read\n" in text
    assert text.count(": write") == (1 if path.stem == "nightly" else 0)


@pytest.mark.parametrize(
    ("linter", "arguments"),
    [("actionlint", ()), ("zizmor", ("--offline", "--no-progress", "--min-severity", "low"))],
    ids=["actionlint", "zizmor"],
)
def test_linters(linter: str, arguments: tuple[str, ...]) -> None:
    """The linters have nothing to say. Neither needs the network."""
    beside = Path(sys.executable).with_name(linter)
    program = str(beside) if beside.exists() else shutil.which(linter)
    if program is None:
        pytest.skip(f"{linter} is not installed")
    files = [str(path) for path in (WORKFLOWS if linter == "actionlint" else FILES)]
    done = subprocess.run(
        [program, *arguments, *files], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("wrong", "status"), [(False, 0), (True, 1)], ids=["conformant", "failing"]
)
def test_the_action_on_a_project(tmp_path: Path, wrong: bool, status: int) -> None:
    """The action's script tests the backend of another project, and fails as the run does."""
    result = "lambda *args: tuple(each * 2 for each in graph(*args))" if wrong else "graph"
    (tmp_path / "my_backend.py").write_text(
        "def make_backend(options):\n"
        f"    return lambda graph, inputs: {result}\n"
        "ABILITIES = ('eager',)\n"
    )
    summary = tmp_path / "step.md"
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "BACKEND": "my_backend.py",
        "KIT": "",
        "INSTALL": "",
        "ARGUMENTS": "--id STITCH-001 -k nested --jobs 1 --confirm 0",
        "GITHUB_STEP_SUMMARY": str(summary),
    }
    done = subprocess.run(
        [ACTION / "conformance.sh"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stdout[-2000:] + done.stderr[-2000:]
    assert (tmp_path / "conformance-report" / "report.html").exists()
    assert f"exit status {status}" in summary.read_text()
