"""What calling N pieces takes beyond calling the graph that they were cut from."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from piecewise_reference import split_graph
from piecewise_reference.fastpath.direct_call import direct_call
from torch import fx

from piecewise_benchmarks.graphs import SPLITTING_OPS, inputs_of, many_tiny_pieces
from piecewise_benchmarks.measure import LINEAR, timed
from piecewise_benchmarks.peers import PEERS, measured, subject

PIECES = (2, 8, 32, 128, 512)


def callables(gm: fx.GraphModule, by: str) -> Any:
    if by == "limit: the graph unsplit":
        return gm.forward
    if by in PEERS:
        split: Any = subject(by).surface["split_graph"]
        return split(gm, SPLITTING_OPS)[0]
    split_gm, _ = split_graph(gm, SPLITTING_OPS)
    return split_gm if by == "reference, as a module" else direct_call(split_gm)


WHO = ["limit: the graph unsplit", "reference, as a module", *measured("split_graph")]


@pytest.mark.parametrize("pieces", PIECES)
@pytest.mark.parametrize("by", WHO)
def test_call(benchmark: Any, by: str, pieces: int) -> None:
    gm = many_tiny_pieces(pieces)
    args = inputs_of(gm)
    call = callables(gm, by)
    expected = gm(*args)[0]

    def check(result: Any) -> None:
        assert torch.equal(result[0], expected)

    timed(
        benchmark,
        lambda: call(*args),
        group="stitched call",
        by=by,
        size=pieces,
        unit="piece",
        order=LINEAR,
        check=check,
    )
