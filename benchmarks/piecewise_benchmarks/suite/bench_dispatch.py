"""From a batch size to its artifact: a piece that has compiled, called again."""

from __future__ import annotations

import operator
from typing import Any

import pytest
import torch
from piecewise_reference import CompileRanges, Range

from piecewise_benchmarks.measure import LOGARITHMIC, timed


@pytest.mark.parametrize("count", [1, 16, 256])
def test_find_range(benchmark: Any, count: int) -> None:
    ranges = CompileRanges(8 * count, [8 * i for i in range(1, count)], [])
    size = 8 * count - 3

    def check(found: Range) -> None:
        assert size in found
        assert found.end == 8 * count

    timed(
        benchmark,
        lambda: ranges.find(size),
        group="range dispatch",
        size=count,
        unit="range",
        order=LOGARITHMIC,
        check=check,
    )


def test_limit_bare_call(benchmark: Any) -> None:
    x = torch.ones(4)

    def check(result: Any) -> None:
        assert result is x

    pick = operator.itemgetter(0)
    timed(
        benchmark,
        lambda: pick((x,)),
        group="range dispatch",
        by="limit: a bare call",
        size=1,
        unit="range",
        order=LOGARITHMIC,
        check=check,
    )
