"""Every program in docs/cuda-graphs.md runs and prints what the page says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "cuda-graphs.md"
BLOCK = re.compile(r"```python( setup)?\n(.*?)```(?:\n```text\n(.*?)```)?", re.S)
(SETUP, *PROGRAMS) = BLOCK.findall(PAGE.read_text(encoding="utf-8"))


def test_the_page_has_programs() -> None:
    """And each of them tells what it prints."""
    assert SETUP[0]
    assert len(PROGRAMS) >= 12
    assert all(text and not setup for setup, _, text in PROGRAMS)


RUNNER = """
import sys, traceback, warnings
warnings.simplefilter("ignore")
setup, *programs = sys.stdin.read().split("\\0")
for number, program in enumerate(programs):
    names = {}
    exec(setup, names)
    print("\\0", end="")
    exec(compile(program, "FILE", "exec"), names)
"""


@pytest.fixture(scope="module")
def printed() -> list[str]:
    """What the programs print; in one process, since importing torch takes longer than all."""
    sources = [SETUP[1], *(program for _, program, _ in PROGRAMS)]
    done = subprocess.run(
        [sys.executable, "-c", RUNNER],
        input="\0".join(sources),
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.split("\0")[1:]


@pytest.mark.parametrize("number", range(len(PROGRAMS)))
def test_a_program_prints_what_the_page_says(printed: list[str], number: int) -> None:
    """To the letter, with the names of its lines."""
    assert printed[number].strip() == PROGRAMS[number][2].strip()
