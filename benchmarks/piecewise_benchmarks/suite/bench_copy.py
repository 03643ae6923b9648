"""``make_copy_and_call``, beside ``torch._foreach_copy_``, which copies and checks nothing."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from piecewise_benchmarks.measure import LINEAR, timed
from piecewise_benchmarks.peers import measured, subject

SIZES = {"1KB": (256,), "128KB": (8, 4096), "16MB": (1024, 4096), "256MB": (16384, 4096)}
CASES = [(count, name) for name in ("1KB", "128KB") for count in (1, 3, 16)]
CASES += [(1, "16MB"), (3, "16MB"), (1, "256MB")]
WHO = ["limit: _foreach_copy_", "limit: copy_ each", *measured("make_copy_and_call")]


@pytest.mark.parametrize(("count", "name"), CASES, ids=lambda each: str(each))
@pytest.mark.parametrize("by", WHO)
def test_copy(benchmark: Any, by: str, count: int, name: str) -> None:
    buffers = [torch.zeros(SIZES[name]) for _ in range(count)]
    args = [torch.full(SIZES[name], float(i + 1)) for i in range(count)]

    def foreach() -> None:
        torch._foreach_copy_(buffers, args)

    def each() -> None:
        for buffer, arg in zip(buffers, args, strict=True):
            buffer.copy_(arg)

    def nothing(*_: Any) -> None:
        return None

    if by == "limit: _foreach_copy_":
        call: Any = foreach
    elif by == "limit: copy_ each":
        call = each
    else:
        make: Any = subject(by).surface["make_copy_and_call"]
        copy_and_call = make(list(range(count)), list(buffers), nothing)

        def call() -> None:
            copy_and_call(*args)

    def check(_: None) -> None:
        for buffer, arg in zip(buffers, args, strict=True):
            assert torch.equal(buffer, arg)

    timed(
        benchmark,
        call,
        group=f"copy_and_call {name}",
        by=by,
        size=count,
        unit="input",
        order=LINEAR,
        check=check,
    )
