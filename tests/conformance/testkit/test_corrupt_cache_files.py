"""Mutated cache files on the reference, swept as the suite does."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

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


def test_no_mutated_file_does_harm(tmp_path: Path) -> None:
    """No start fails, no code runs, nothing is served wrongly: ``sweep`` raises if any does. Of the
    files that are whole enough, entries are served. The suite itself sweeps ten times as many.
    """
    suite = _suite_module()
    served = suite.sweep(subject, tmp_path, range(0, suite.TOTAL, 10))
    assert served > 0
