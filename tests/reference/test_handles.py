"""What the reference tells of a handle that it cannot keep."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from piecewise_conformance.testkit import spy
from piecewise_conformance.testkit.pieces import times
from piecewise_reference import CompilationConfig, CompilerManager, Range


class _Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError("this handle cannot be printed")


@pytest.mark.parametrize("make", [_Unprintable, object, lambda: [float("nan")]])
def test_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, make: Callable[[], Any]
) -> None:
    """One line names the piece and the kind of the handle, whatever printing the handle does."""
    manager = CompilerManager(CompilationConfig(backend=spy.NAME))
    manager.initialize_cache(str(tmp_path))
    case = times(2)
    with spy.spying() as log, caplog.at_level(logging.WARNING):
        log.handle = lambda number: make()
        manager.compile(
            case.gm, case.traced, {}, manager.compilation_config, Range(1, 8), 3, num_graphs=5
        )
    (line,) = [
        record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING
    ]
    assert "3, 'spy'" in line
    assert "Python literals" in line
    assert type(make()).__qualname__ in line
    assert not manager.cache
