"""CACHE: a cache over time, by drawn steps."""

from __future__ import annotations

from pathlib import Path

from piecewise_conformance import cache_histories
from piecewise_conformance.marks import requirement, slow
from piecewise_conformance.subject import Subject


@requirement("CACHE-020")
@slow
def test_drawn_steps(subject: Subject, tmp_path: Path) -> None:
    """After every step of 200 drawn histories, what is loaded is what the history allows."""
    cache_histories.check(subject, tmp_path, examples=200, steps=30)
