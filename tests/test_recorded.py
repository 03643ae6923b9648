"""Dynamo's part, replayed: what one subject does to it does not reach the next."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from piecewise_conformance import recorded
from piecewise_fixtures.programs import program


@pytest.fixture(autouse=True)
def replaying() -> Iterator[None]:
    """Recording as the kill matrix does it, with nothing recorded before."""
    torch._dynamo.reset()
    recorded.reuse(True)
    recorded._by_program.clear()
    yield
    recorded._by_program.clear()
    recorded.reuse(False)
    torch._dynamo.reset()


def _plain(gm: Any, example_inputs: Any) -> Callable[..., Any]:
    return lambda *args: gm(*args)


def _specialising(gm: Any, example_inputs: Any) -> Callable[..., Any]:
    for each in example_inputs:
        if isinstance(each, torch.SymInt):
            int(each)
    return _plain(gm, example_inputs)


def _run(compile: Callable[..., Any]) -> recorded.Recorded:
    chosen = program("linear-chain")
    found = recorded.recorded(chosen)
    _, call = found.use(compile)
    args = chosen.mark_dynamic(chosen.inputs(6))
    with torch.no_grad():
        call(*args)
    return found


def test_what_is_sound_is_kept() -> None:
    """Two subjects that assume nothing about sizes share one recording."""
    assert _run(_plain) is _run(_plain)


def test_a_size_made_constant_is_recorded_anew() -> None:
    """A subject that makes the batch size a constant spoils the recording, and only its own."""
    spoiled = _run(_specialising)
    assert spoiled.is_spoiled()
    fresh = _run(_plain)
    assert fresh is not spoiled
    assert not fresh.is_spoiled()
