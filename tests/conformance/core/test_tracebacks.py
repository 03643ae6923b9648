"""Tracebacks for the author of a subject."""

from __future__ import annotations

import json
import sysconfig
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
from piecewise_conformance.core import boundary
from piecewise_conformance.core.tracebacks import FOLDED, is_own, traceback_of, unfolded

SUBJECT = """
import json

def outer(text):
    return inner(text)

def inner(text):
    return json.loads(text)
"""


def raised(call: Callable[[], object]) -> BaseException:
    """What ``call`` raises, through a frame of the harness."""
    with pytest.raises(ValueError, match="Expecting") as caught:
        boundary.crossing("a call", call)()
    return caught.value


@pytest.fixture
def subject(tmp_path: Path) -> ModuleType:
    """A module that asks the standard library for what it refuses."""
    path = tmp_path / "mine.py"
    path.write_text(SUBJECT)
    module = ModuleType("mine")
    exec(compile(SUBJECT, str(path), "exec"), vars(module))
    return module


def test_the_own_frame_comes_first(subject: ModuleType, tmp_path: Path) -> None:
    """Then who called it; where a library raised is one line, and the rest is folded."""
    text = traceback_of(raised(lambda: subject.outer("{")))
    shown, folded = unfolded(text)
    lines = shown.splitlines()
    assert lines[0] == f'  File "{tmp_path / "mine.py"}", line 8, in inner'
    assert "return json.loads(text)" in lines[1]
    assert "deeper, in" in shown
    assert "called by" in shown
    assert "boundary.py" not in shown
    assert "boundary.py" in folded
    assert folded.index("outer") < folded.index("inner")
    assert FOLDED not in shown


def test_a_traceback_without_own_frames() -> None:
    """Is as Python prints it."""
    error = json.JSONDecodeError("no", "{", 0)
    assert traceback_of(error) == ""
    assert unfolded("plain") == ("plain", "")


@pytest.mark.parametrize(
    ("filename", "own"),
    [
        ("/home/me/backend.py", True),
        (f"{sysconfig.get_paths()['purelib']}/my_backend/split.py", True),
        (f"{sysconfig.get_paths()['purelib']}/torch/fx/graph.py", False),
        ("/x/lib/python3.12/site-packages/_pytest/python.py", False),
        ("/x/lib/python3.12/dist-packages/mine.py", True),
        (torch.__file__, False),
        (json.__file__, False),
        (boundary.__file__, False),
        ("<eval_with_key>.3", False),
        ("<frozen importlib._bootstrap>", False),
    ],
)
def test_whose_file(filename: str, own: bool) -> None:
    """Installed packages are the subject's but for torch and what the harness needs."""
    assert is_own(filename) is own
