"""What a worker settles before the suite runs."""

from __future__ import annotations

import gc
import importlib
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
import torch
from piecewise_conformance.isolation.fork_server import Fresh
from piecewise_conformance.isolation.isolation import Isolation, settle_torch
from torch._logging._internal import trace_structured

guards = importlib.import_module("torch._dynamo.guards")


@pytest.fixture
def trace(monkeypatch: pytest.MonkeyPatch) -> Iterator[logging.Logger]:
    """Torch's logger of its structured trace, with a handler as pytest adds one."""
    logger = logging.getLogger("torch.__trace")
    monkeypatch.setattr(guards, "profile_guard_manager", guards.profile_guard_manager)
    handlers, propagate = list(logger.handlers), logger.propagate
    logger.handlers[:] = [logging.NullHandler()]
    yield logger
    logger.handlers[:], logger.propagate = handlers, propagate


@pytest.mark.parametrize("wanted", ["", "TORCH_TRACE", "TORCH_COMPILE_DEBUG"])
def test_trace(trace: logging.Logger, wanted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch makes no trace because of pytest's handlers, but one for a user who wants it."""
    for name in ("TORCH_TRACE", "TORCH_DTRACE", "TORCH_COMPILE_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    if wanted:
        monkeypatch.setenv(wanted, "1")
    settle_torch()
    made: list[str] = []

    def payload() -> str:
        made.append("a trace")
        return "text"

    trace_structured("something", payload_fn=payload)
    assert made == ["a trace"] * bool(wanted)


def test_guards_are_not_timed(trace: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does it time the guards of a graph, which it compiles as before."""
    timed: list[Any] = []

    def profile(*args: Any) -> float:
        timed.append(args)
        return 1.0

    monkeypatch.setattr(guards, "profile_guard_manager", profile)
    for count in (1, 0):
        torch._dynamo.reset()
        timed.clear()
        assert torch.compile(lambda x: x + 1, backend="eager")(torch.ones(2)).tolist() == [2, 2]
        assert len(timed) == count
        settle_torch()


def test_what_is_imported_is_no_garbage() -> None:
    """Once many modules were imported the collector looks through nothing that was there before."""
    settled = Isolation()
    settled.freeze()
    try:
        frozen, own = gc.get_freeze_count(), [object]
        settled.begin()
        assert gc.get_freeze_count() == frozen
        settled.modules -= 100
        settled.begin()
        assert gc.get_freeze_count() > frozen
        assert not any(each is own for each in gc.get_objects())
    finally:
        gc.unfreeze()


def test_hashes_of_fresh_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the seed of this process is, theirs is 1."""
    monkeypatch.syspath_prepend(Path(__file__).parent)
    process = Fresh(f"{Path(__file__).stem}:tell_hash")
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
