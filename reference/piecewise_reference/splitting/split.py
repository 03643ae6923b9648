"""``split_graph``: split a captured graph at its splitting ops."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from torch import fx

from ..fastpath.gc_pause import gc_paused
from .partition import partition_graph
from .stitching import stitch


@dataclass(frozen=True)
class SplitItem:
    """One piece: the child ``submod_name`` of the split graph, which runs at position ``graph_id``.

    ``is_splitting_graph`` is True for a piece of splitting ops, which must be neither compiled nor
    captured.
    """

    submod_name: str
    graph_id: int
    is_splitting_graph: bool
    graph: fx.GraphModule


def split_graph(
    graph: fx.GraphModule, splitting_ops: Collection[str]
) -> tuple[fx.GraphModule, list[SplitItem]]:
    """Split ``graph`` at ``splitting_ops``. ``graph`` is not changed.

    Returns the stitched graph, which has the inputs and outputs of ``graph``, and its pieces in the
    order in which they run. Parameters are shared, not copied. Seed: ``split_graph``.
    """
    with gc_paused():
        partition = partition_graph(graph.graph, splitting_ops)
        split_gm, names = stitch(graph, partition)
        items = [
            SplitItem(name, graph_id, piece.is_splitting, getattr(split_gm, name))
            for graph_id, (name, piece) in enumerate(zip(names, partition.pieces, strict=True))
        ]
    return split_gm, items
