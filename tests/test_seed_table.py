"""docs/seed.md has a row for every public name of the seed, and each row is true."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import re
from pathlib import Path
from typing import Any

import pytest
from piecewise_conformance import requirements

TABLE = Path(__file__).parent.parent / "docs" / "seed.md"

# The names of the seed's page, as it lists them, and those of what it calls without showing it.
NAMES = (Path(__file__).parent / "seed_names.txt").read_text().split()


def rows() -> dict[str, tuple[str, str]]:
    """Name in the seed: (path here, requirements)."""
    found = re.findall(
        r"^\| `([^`]+)` \| `([^`]+)` \| ([^|]+) \| [^|]+ \|$", TABLE.read_text(), re.MULTILINE
    )
    return {name: (path, covered) for name, path, covered in found}


def test_every_name_has_a_row() -> None:
    """No name is missing, and none is there that the seed does not have."""
    assert sorted(rows()) == sorted(NAMES)
    assert len(NAMES) == len(set(NAMES))


def _has(found: Any, part: str) -> bool:
    """Whether ``found`` has ``part``, or its instances do."""
    if hasattr(found, part):
        return True
    if not inspect.isclass(found):
        return False
    if dataclasses.is_dataclass(found) and part in {
        each.name for each in dataclasses.fields(found)
    }:
        return True
    if part in getattr(found, "__annotations__", {}):
        return True
    return bool(re.search(rf"self\.{part}\b.* = ", inspect.getsource(found)))


# importing Inductor's compile_fx makes torch warn of a function of its own
@pytest.mark.filterwarnings("ignore:.*script_method:DeprecationWarning")
@pytest.mark.parametrize("name", NAMES)
def test_row_is_true(name: str) -> None:
    """The path leads to something, and the requirements exist."""
    path, covered = rows()[name]
    module, *parts = path.split(".")
    found: Any = importlib.import_module(f"piecewise_reference.{module}")
    for part in parts:
        assert _has(found, part), path
        found = getattr(found, part, None)
    known = requirements.load()
    for requirement in covered.split(", "):
        assert requirement in known, f"{name}: {requirement}"
