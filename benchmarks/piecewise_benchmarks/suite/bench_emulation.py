"""The emulator of CUDA graphs: a tape of N operations, captured and run again."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from piecewise_conformance.emulation.context import emulate

from piecewise_benchmarks.measure import LINEAR, timed

OPS = (10, 100, 1_000)


def chain(x: torch.Tensor, count: int) -> torch.Tensor:
    for _ in range(count):
        x = x + 1
    return x


@pytest.mark.parametrize("count", OPS)
@pytest.mark.parametrize("by", ["reference, capture", "reference", "limit: the operations alone"])
def test_tape(benchmark: Any, by: str, count: int) -> None:
    x = torch.zeros(4)

    def capture() -> tuple[Any, torch.Tensor]:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            out = chain(x, count)
        return graph, out

    with emulate():
        graph, out = capture()

        def replay() -> torch.Tensor:
            graph.replay()
            return out

        def captured() -> torch.Tensor:
            again, made = capture()
            again.replay()
            return made

        def check(result: torch.Tensor) -> None:
            assert float(result[0]) == count

        calls = {"reference": replay, "reference, capture": captured}
        timed(
            benchmark,
            calls.get(by, lambda: chain(x, count)),
            group="emulator tape",
            by=by,
            size=count,
            unit="op",
            order=LINEAR,
            check=check,
            rounds=5,
        )
