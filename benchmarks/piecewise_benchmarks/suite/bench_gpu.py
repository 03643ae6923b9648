"""On a GPU: the latency of the decoder in each way to run it, over batch sizes.

On the clock on the wall: of a batch on a device the processor sees only the launches.
Beside each time stand the memory that is kept, and the kernels and gaps between them of one batch.
Without a GPU every case is skipped, with that reason.
"""

from __future__ import annotations

import time
from typing import Any

import pytest
import torch
from piecewise_conformance.core.environment import missing

from piecewise_benchmarks.gpu_ways import WAYS, launch_gaps, running
from piecewise_benchmarks.measure import timed
from piecewise_benchmarks.peers import subject

LAYERS = 8


@pytest.mark.skipif(missing("gpu") is not None, reason="no GPU")
@pytest.mark.skipif(missing("transformers") is not None, reason="no transformers")
@pytest.mark.benchmark(timer=time.perf_counter)
@pytest.mark.parametrize("tokens", [1, 8, 64, 512])
@pytest.mark.parametrize("way", WAYS)
def test_latency(benchmark: Any, way: str, tokens: int) -> None:
    torch._dynamo.reset()
    with running(subject("reference"), way, "cuda", tokens, LAYERS, torch.bfloat16) as decoder:
        beside = f"{decoder.reserved / 2**20:.1f} MiB kept"
        if (found := launch_gaps(decoder.call)) is not None:
            kernels, gaps = found
            beside += f", {kernels} kernels, {gaps * 1e6:.0f} µs between them"
        benchmark.extra_info["beside"] = beside
        benchmark.extra_info["bytes"] = {"pool memory": decoder.reserved}
        timed(
            benchmark,
            decoder.call,
            group="GPU latency",
            by=way,
            size=tokens,
            unit="token",
            order=None,
            check=decoder.check,
        )
