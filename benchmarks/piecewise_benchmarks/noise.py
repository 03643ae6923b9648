"""``python -m piecewise_benchmarks noise``: record how much unchanged code differs between runs.

The alarm rule of the history is simulated on such a recording: nothing changes in it, so every
difference is noise. A recorded night is two runs, one right after the other, as in the nightly job,
which runs again what looks bad.
"""

from __future__ import annotations

import json
import math
import platform
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from piecewise_reference import split_graph
from piecewise_reference.fastpath.direct_call import direct_call

from .graphs import SHAPES, SPLITTING_OPS, inputs_of, many_tiny_pieces

NODES = (20, 30, 40, 60, 80, 120, 160, 240)
PIECES = (2, 4, 8, 16, 32, 64, 128, 256)
ROUNDS = 9


def _calls() -> tuple[dict[str, Callable[[], Any]], dict[str, Callable[[], Any]]]:
    """Forty figures, and eight limits that are measured next to them."""
    figures: dict[str, Callable[[], Any]] = {}
    limits: dict[str, Callable[[], Any]] = {}
    for shape, make in SHAPES.items():
        for nodes in NODES:
            graph = make(nodes)
            figures[f"split {shape} {nodes}"] = partial(split_graph, graph, SPLITTING_OPS)
    for pieces in PIECES:
        graph = many_tiny_pieces(pieces)
        args = inputs_of(graph)
        cut, _ = split_graph(graph, SPLITTING_OPS)
        direct = direct_call(cut)
        figures[f"call direct {pieces}"] = partial(direct, *args)
        figures[f"call module {pieces}"] = partial(cut, *args)
        limits[f"call unsplit {pieces}"] = partial(graph.forward, *args)
    return figures, limits


def _measure(calls: dict[str, Callable[[], Any]]) -> list[float]:
    """The median processor time of each call, in seconds."""
    found = []
    for call in calls.values():
        times = []
        for _ in range(ROUNDS):
            began = time.process_time()
            call()
            times.append(time.process_time() - began)
        found.append(median(times))
    return found


def record(nights: int, out: Path) -> None:
    """Write ``nights`` recorded nights to ``out``, as logarithms of ratios to the median."""
    torch.set_num_threads(1)
    figures, limits = _calls()
    for calls in (figures, limits):
        _measure(calls)  # warm
    measured = [[(_measure(figures), _measure(limits)) for _ in range(2)] for _ in range(nights)]

    def residuals(part: int) -> list[list[list[float]]]:
        count = len((figures, limits)[part])
        centre = [median(run[part][i] for night in measured for run in night) for i in range(count)]
        return [
            [[round(math.log(run[part][i] / centre[i]), 4) for i in range(count)] for run in night]
            for night in measured
        ]

    content = {
        "about": "logarithms of time over median time: [night][run][figure]",
        "clock": "processor time, median of nine calls",
        "machine": f"{platform.machine()}, shared with other programs",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "figures": residuals(0),
        "limits": residuals(1),
    }
    out.write_text(json.dumps(content, separators=(",", ":")) + "\n", encoding="utf-8")
