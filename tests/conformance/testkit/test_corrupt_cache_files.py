"""Ten thousand mutated cache files on the reference, as a figure that is printed."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from piecewise_conformance.core import suite_scan
from piecewise_conformance.subject.adapters.reference import subject


def _suite_module() -> Any:
    path = Path(suite_scan.__file__).parents[1] / "suite" / "test_cache_mutations.py"
    found = importlib.util.spec_from_file_location("cache_mutations_of_the_suite", path)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def test_figure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No start fails, no code runs, nothing is served wrongly: ``sweep`` raises if any does."""
    suite = _suite_module()
    served = suite.sweep(subject, tmp_path, range(suite.TOTAL))
    with capsys.disabled():
        print(
            f"\n{suite.TOTAL} mutated cache files: 0 crashes, 0 code runs, 0 wrong hits, "
            f"{served} entries served"
        )
    assert served > 0
