"""Run probes in this process: ``main(names, patch)`` prints a JSON line for each answer.

Before a probe runs its name is printed, so that whoever reads the lines knows which probe has ended
the process.
"""

from __future__ import annotations

import importlib
import json
import runpy
import sys

_MODULES = ("returns", "fake_modes", "splitting", "keys", "caching", "hits", "shapes", "switches")
_PACKAGE = __package__


def main(names: list[str], patch: str = "") -> None:
    """Run the probes called ``names``, all of them if there are none.

    ``patch`` is a Python file that is executed first: a fault that is planted in torch.
    """
    for module in _MODULES:
        importlib.import_module(f"{_PACKAGE}.{module}")
    if patch:
        runpy.run_path(patch)
    probes = importlib.import_module(f"{_PACKAGE}.registry").PROBES
    for name in names or probes:
        _tell({"begin": name})
        _tell({"name": name, "answer": _answer(probes[name])})


def _answer(function: object) -> str:
    fresh = importlib.import_module(f"{_PACKAGE}.compiling").fresh
    assert callable(function)
    try:
        with fresh():
            return str(function())
    except Exception as error:
        return raised(error)


def raised(error: BaseException) -> str:
    """An exception as an answer: its class and the beginning of what it says."""
    lines = str(error).strip().splitlines()
    return f"raises {type(error).__name__}: {lines[0][:100] if lines else ''}".rstrip(": ")


def _tell(line: dict[str, str]) -> None:
    sys.stdout.write(f"{json.dumps(line)}\n")
    sys.stdout.flush()
