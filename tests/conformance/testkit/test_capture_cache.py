"""Dynamo's part, replayed: what one subject does to it does not reach the next."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from piecewise_conformance.testkit import capture_cache
from piecewise_conformance.testkit.graph_capture import mark_dynamic
from piecewise_fixtures.programs import Program, program


@pytest.fixture(autouse=True)
def replaying() -> Iterator[None]:
    """Recording as the kill matrix does it, with nothing recorded before."""
    torch._dynamo.reset()
    capture_cache.reuse(True)
    capture_cache._by_program.clear()
    yield
    capture_cache._by_program.clear()
    capture_cache.reuse(False)
    torch._dynamo.reset()


def _plain(gm: Any, example_inputs: Any) -> Callable[..., Any]:
    return lambda *args: gm(*args)


def _specialising(gm: Any, example_inputs: Any) -> Callable[..., Any]:
    for each in example_inputs:
        if isinstance(each, torch.SymInt):
            int(each)
    return _plain(gm, example_inputs)


class Made(torch.nn.Module):
    """A class that makes a module of another class, as that of the decoder does."""

    def __new__(cls) -> Any:
        """The other module."""
        return program("two-layers").build()


MADE = dataclasses.replace(program("two-layers"), name="made", module=Made)


def _run(
    compile: Callable[..., Any], chosen: Program, traced: str = "BACKED"
) -> capture_cache.Recorded:
    found = capture_cache.recorded(chosen, traced)
    _, call = found.use(compile)
    args = chosen.inputs(6)
    mark_dynamic(chosen, args, traced)
    with torch.no_grad():
        call(*args)
    return found


@pytest.mark.parametrize("chosen", [program("linear-chain"), MADE], ids=lambda each: each.name)
def test_what_is_sound_is_kept(chosen: Program) -> None:
    """Two subjects that assume nothing about sizes share one recording."""
    assert _run(_plain, chosen) is _run(_plain, chosen)


@pytest.mark.parametrize("chosen", [program("linear-chain"), MADE], ids=lambda each: each.name)
def test_a_size_made_constant_is_recorded_anew(chosen: Program) -> None:
    """A subject that makes the batch size a constant spoils its own recording only, time and again.

    Dynamo gives up on code that it has compiled eight times.
    """
    for _ in range(10):
        spoiled = _run(_specialising, chosen)
        assert spoiled.is_spoiled()
    fresh = _run(_plain, chosen)
    assert fresh is not spoiled
    assert not fresh.is_spoiled()


def test_each_way_to_trace_sizes_is_recorded() -> None:
    """What is recorded for a size of which nothing is known is served to nobody else."""
    known: list[bool] = []

    def looking(gm: Any, example_inputs: Any) -> Callable[..., Any]:
        sizes = [each for each in example_inputs if isinstance(each, torch.SymInt)]
        known.append(all(each.node.has_hint() for each in sizes))
        return _plain(gm, example_inputs)

    chosen = program("linear-chain")
    found = [_run(looking, chosen, traced) for traced in ("BACKED", "UNBACKED", "BACKED")]
    assert known == [True, False, True]
    assert found[0] is found[2]
    capture_cache.forget(chosen)
    assert not capture_cache._by_program
