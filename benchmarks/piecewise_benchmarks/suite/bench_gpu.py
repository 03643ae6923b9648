"""On a GPU: a chain of pieces eager, and captured as CUDA graphs, over batch sizes.

Written against the real CUDA API; without a GPU every case is skipped, with that reason.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch

from piecewise_benchmarks.measure import timed

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")

LAYERS = 32


@pytest.mark.parametrize("batch", [1, 8, 64, 512])
@pytest.mark.parametrize("by", ["limit: eager", "piecewise CUDA graphs", "full CUDA graph"])
def test_latency(benchmark: Any, by: str, batch: int) -> None:
    weights = [torch.randn(512, 512, device="cuda") / 23 for _ in range(LAYERS)]
    x = torch.randn(batch, 512, device="cuda")

    def layers(first: int, last: int, value: torch.Tensor) -> torch.Tensor:
        for weight in weights[first:last]:
            value = torch.relu(value @ weight)
        return value

    def graph(first: int, last: int, value: torch.Tensor) -> tuple[Any, torch.Tensor]:
        layers(first, last, value)  # cuBLAS makes its workspace outside the capture
        torch.cuda.synchronize()
        captured = torch.cuda.CUDAGraph()
        with torch.cuda.graph(captured):
            out = layers(first, last, value)
        return captured, out

    pieces, value = [], x
    step = {"limit: eager": 0, "piecewise CUDA graphs": 1, "full CUDA graph": LAYERS}[by]
    for first in range(0, LAYERS, step) if step else ():
        captured, value = graph(first, first + step, value)
        pieces.append(captured)

    def call() -> torch.Tensor:
        if not pieces:
            out = layers(0, LAYERS, x)
        else:
            for piece in pieces:
                piece.replay()
            out = value
        torch.cuda.synchronize()
        return out

    def check(result: torch.Tensor) -> None:
        torch.testing.assert_close(result, layers(0, LAYERS, x))

    benchmark.extra_info["pool_bytes"] = torch.cuda.memory_reserved()
    timed(
        benchmark,
        call,
        group="GPU latency",
        by=by,
        size=batch,
        unit="token",
        order=None,
        check=check,
    )
