"""The worked example of docs/test-your-backend.md: its files work, and its commands print that."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "test-your-backend.md").read_text()
BLOCKS = dict(re.findall(r"```python\n# ([^\n]*)\n(.*?)```", PAGE, flags=re.DOTALL))
COMMANDS = re.findall(r"^    (python .*)$", PAGE, flags=re.MULTILINE)
(OUTPUT,) = re.findall(r"```text\n(.*?)```", PAGE, flags=re.DOTALL)


def run(folder: Path, command: str, *more: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the page in ``folder``; ``more`` narrows what it selects."""
    assert command in COMMANDS
    words = [*shlex.split(command)[1:], "--jobs", "1", "--confirm", "0", *more]
    return subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the files of the page before they are corrected and continued."""
    for name in ("my_compiler.py", "my_project.py", "my_backend.py"):
        (tmp_path / name).write_text(BLOCKS[name])
    return tmp_path


def extend(folder: Path, title: str) -> None:
    """Append the block with this title to its file."""
    path = folder / title.partition(",")[0]
    path.write_text(path.read_text() + BLOCKS[title])


def test_every_block_is_used() -> None:
    """The tests below know all files of the page."""
    files = {"my_compiler.py", "my_project.py", "my_backend.py"}
    assert set(BLOCKS) == files | {"my_project.py, corrected", "my_backend.py, continued"}
    assert len(re.findall("```python", PAGE)) == len(BLOCKS)
    assert len(COMMANDS) == 6


def test_the_compiler_is_conformant(folder: Path) -> None:
    """Rung 2: the function of three lines passes what applies to it."""
    command = (
        "python -m piecewise_conformance run --backend my_compiler.py:compile_piece --profile smoke"
    )
    done = run(folder, command, "-k", "STITCH or COMPILER")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "CONFORMANT IN PART" in done.stdout


def test_the_backend_fails_as_printed_and_is_corrected(folder: Path) -> None:
    """Rung 3: smoke finds the failure, the page prints it, and the correction passes."""
    start = "python -m piecewise_conformance run --backend my_backend.py"
    smoke = run(folder, f"{start} --profile smoke", "--id", "SPLIT-016", "--out", "smoke")
    assert smoke.returncode == 1, smoke.stdout + smoke.stderr

    whole = run(folder, f"{start} --id SPLIT-016")
    assert whole.returncode == 1, whole.stdout + whole.stderr
    for line in OUTPUT.splitlines():
        assert line.strip() == "..." or line in whole.stdout.splitlines()

    extend(folder, "my_project.py, corrected")
    again = run(folder, "python -m piecewise_conformance run --failed")
    assert again.returncode == 0, again.stdout + again.stderr


def test_ranges_are_judged_once_they_are_offered(folder: Path) -> None:
    """Rung 4: the class is judged, and passes."""
    extend(folder, "my_backend.py, continued")
    start = "python -m piecewise_conformance run --backend my_backend.py"
    done = run(folder, f"{start} --id RANGE-001 --id RANGE-004")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "(2 of " in done.stdout
