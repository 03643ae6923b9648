"""Drawn histories of a cache, on correct caches that use the freedom that the model leaves."""

from __future__ import annotations

from pathlib import Path

import pytest
from piecewise_conformance.mutation.subjects import load
from piecewise_conformance.testkit.caches import histories


@pytest.mark.parametrize(
    "name",
    [
        "variant-question-drops",
        "variant-other-cache-values",
        "variant-equal-pieces-share",
        "variant-save-looks-around",
    ],
)
@pytest.mark.parametrize("search", [0, 1])
def test_a_correct_cache_is_not_blamed(tmp_path: Path, name: str, search: int) -> None:
    """One that drops what it takes for stale, keeps other values, shares, or looks around."""
    histories.check(load(name), tmp_path, examples=40, steps=30, numbers=search)
