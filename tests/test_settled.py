"""What a worker settles before the suite runs."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from piecewise_conformance.fresh import Fresh
from piecewise_conformance.settled import settle_trace
from torch._logging import trace_structured


@pytest.fixture
def trace() -> Iterator[logging.Logger]:
    """Torch's logger of its structured trace, with a handler as pytest adds one."""
    logger = logging.getLogger("torch.__trace")
    handlers, propagate = list(logger.handlers), logger.propagate
    logger.handlers[:] = [logging.NullHandler()]
    yield logger
    logger.handlers[:], logger.propagate = handlers, propagate


@pytest.mark.parametrize("wanted", [False, True])
def test_trace(trace: logging.Logger, wanted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch makes no trace because of pytest's handlers, but one for a user who wants it."""
    monkeypatch.delenv("TORCH_TRACE", raising=False)
    if wanted:
        monkeypatch.setenv("TORCH_TRACE", "folder")
    settle_trace()
    made: list[str] = []
    trace_structured("something", payload_fn=lambda: made.append("a trace") or "text")
    assert made == ["a trace"] * wanted


def test_hashes_of_fresh_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the seed of this process is, theirs is 1."""
    monkeypatch.syspath_prepend(Path(__file__).parent)
    process = Fresh("test_settled:tell_hash")
    try:
        told = process.receive(60)
    finally:
        process.end()
    python = [sys.executable, "-c", "print(hash('a word'))"]
    seeded = {**os.environ, "PYTHONHASHSEED": "1"}
    assert told == int(subprocess.run(python, env=seeded, capture_output=True, check=True).stdout)


def tell_hash(connection: Connection) -> None:
    """In the process."""
    connection.send(hash("a word"))
