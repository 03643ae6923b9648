"""Assign each op of a graph to a piece, before anything is built.

Pieces run in source order, and so do the ops in them. Mutations therefore keep their order without
an analysis of which op mutates what. Two kinds of nodes belong to no piece. Unpacking a tuple only
names a leaf (see :mod:`.values`). Indexing a *tensor* uses the same ``operator.getitem`` but is an
op, and stays in place because a splitting op may write to that tensor in between. ``get_attr``
costs nothing, so each piece reads attributes itself.

Entering and leaving a region of autocast or inference mode is not an op but the state in which ops
run. Each piece in a region that spans a splitting op enters and leaves it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from torch import fx
from torch.amp.autocast_mode import _enter_autocast, _exit_autocast
from torch.autograd.grad_mode import _enter_inference_mode, _exit_inference_mode

from ..tracing.values import Leaf, unpacks_aggregate
from .splitting_ops import op_names

EXIT_OF: dict[Any, Any] = {
    _enter_autocast: _exit_autocast,
    _enter_inference_mode: _exit_inference_mode,
}
"""What enters a region, and returns a handle, with what leaves it by the handle."""

_EXITS = frozenset(EXIT_OF.values())


@dataclass
class Piece:
    """The ops of one piece in source order, and its input and output leaves."""

    is_splitting: bool
    nodes: list[fx.Node] = field(default_factory=list)
    # dicts serve as ordered sets
    inputs: dict[Leaf, None] = field(default_factory=dict)
    outputs: dict[Leaf, None] = field(default_factory=dict)


@dataclass
class Partition:
    """The pieces in the order in which they run, and the piece of each op."""

    pieces: list[Piece] = field(default_factory=list)
    piece_of: dict[fx.Node, int] = field(default_factory=dict)
    # the regions of an op, outermost first, as the nodes that enter them
    regions: dict[fx.Node, tuple[fx.Node, ...]] = field(default_factory=dict)


def partition_graph(graph: fx.Graph, splitting_ops: Collection[str]) -> Partition:
    """Assign each op to a piece: one piece for each splitting op and for the ops in between."""
    partition = Partition()
    splits: dict[object, bool] = {}  # a graph calls a few distinct ops many times
    regions: tuple[fx.Node, ...] = ()
    for node in graph.nodes:
        if node.op in ("placeholder", "get_attr", "output") or unpacks_aggregate(node):
            continue
        if node.target in EXIT_OF:
            regions = (*regions, node)
            continue
        if node.target in _EXITS:
            regions = tuple(each for each in regions if each is not node.args[0])
            continue
        if regions:
            partition.regions[node] = regions
        splitting = False
        if node.op == "call_function":
            if node.target not in splits:
                splits[node.target] = not op_names(node.target).isdisjoint(splitting_ops)
            splitting = splits[node.target]
        if splitting or not partition.pieces or partition.pieces[-1].is_splitting:
            partition.pieces.append(Piece(splitting))
        partition.pieces[-1].nodes.append(node)
        partition.piece_of[node] = len(partition.pieces) - 1
    return partition
