"""``split_graph``: cut a captured graph at its splitting ops."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from torch import fx

from ..fastpath.gc_pause import gc_paused
from .partition import partition_graph
from .stitching import stitch


@dataclass(frozen=True)
class SplitItem:
    """One piece: child ``submod_name`` of the split graph, the ``graph_id``-th to run.

    ``is_splitting_graph`` tells a piece of splitting ops, which must be neither compiled nor
    captured, from one of ordinary ops.
    """

    submod_name: str
    graph_id: int
    is_splitting_graph: bool
    graph: fx.GraphModule


def split_graph(
    graph: fx.GraphModule, splitting_ops: Collection[str]
) -> tuple[fx.GraphModule, list[SplitItem]]:
    """Split ``graph`` at ``splitting_ops``; ``graph`` itself is left as it is.

    Returns the stitched graph, which takes and returns what ``graph`` does, and its pieces in the
    order in which they run. Parameters are shared, never copied. Seed: ``split_graph``.
    """
    with gc_paused():
        partition = partition_graph(graph.graph, splitting_ops)
        split_gm, names = stitch(graph, partition)
        items = [
            SplitItem(name, graph_id, piece.is_splitting, getattr(split_gm, name))
            for graph_id, (name, piece) in enumerate(zip(names, partition.pieces, strict=True))
        ]
    return split_gm, items
