"""One thread, no gradients: what is measured is Python's own work, and comparable."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from piecewise_conformance.core.environment import versions


def pytest_benchmark_update_machine_info(machine_info: dict[str, Any]) -> None:
    """Name in the file of figures what the history compares them by."""
    on_gpu = torch.cuda.is_available()
    machine_info.update({name: versions()[name] for name in ("torch", "torch-git")})
    machine_info["device"] = "cuda" if on_gpu else "cpu"
    machine_info["gpu"] = torch.cuda.get_device_name() if on_gpu else ""


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
