"""CACHE: a cache over time, by drawn steps."""

from __future__ import annotations

from pathlib import Path

import pytest
from piecewise_conformance.core.marks import requirement, slow
from piecewise_conformance.subject.subject import Subject
from piecewise_conformance.testkit.caches import histories

# Several short searches: what one search draws is much alike, and then all of it may miss a fault.
SEARCHES = range(5)


@requirement("CACHE-020")
@slow
@pytest.mark.parametrize("search", SEARCHES)
def test_drawn_steps(subject: Subject, tmp_path: Path, search: int) -> None:
    """After every step of 40 drawn histories, what is loaded is what the history allows."""
    histories.check(subject, tmp_path, examples=40, steps=30, numbers=search)
