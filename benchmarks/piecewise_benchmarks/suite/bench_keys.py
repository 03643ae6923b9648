"""Keys: the identity of a graph, which every load and every compile of a piece takes."""

from __future__ import annotations

from typing import Any

import pytest
from piecewise_reference.cache.graph_key import graph_key
from piecewise_reference.hashing import digest

from piecewise_benchmarks.graphs import llama_like
from piecewise_benchmarks.measure import LINEAR, timed


@pytest.mark.parametrize("nodes", [500, 1_000, 4_000])
def test_graph_key(benchmark: Any, nodes: int) -> None:
    gm, same, other = llama_like(nodes), llama_like(nodes), llama_like(nodes + 100)

    def check(key: str) -> None:
        assert key == graph_key(same)
        assert key != graph_key(other)

    timed(
        benchmark,
        lambda: graph_key(gm),
        group="graph key",
        size=len(gm.graph.nodes),
        unit="node",
        order=LINEAR,
        check=check,
        rounds=3,
    )


@pytest.mark.parametrize("count", [10, 100, 1_000])
def test_digest_of_settings(benchmark: Any, count: int) -> None:
    settings = {f"setting_{i}": i for i in range(count)}
    turned = dict(reversed(settings.items()))

    def check(text: str) -> None:
        assert text == digest(turned)
        assert text != digest(settings | {"setting_0": True})

    timed(
        benchmark,
        lambda: digest(settings),
        group="digest of settings",
        size=count,
        unit="setting",
        order=LINEAR,
        check=check,
    )
