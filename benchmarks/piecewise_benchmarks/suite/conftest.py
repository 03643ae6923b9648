"""One thread, no gradients: what is measured is Python's own work, and comparable."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.no_grad():
        yield
    torch.set_num_threads(threads)


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """An empty folder."""
    return str(tmp_path)
