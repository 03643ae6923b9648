"""Where a graph is cut: which op runs in which piece, decided as data before anything is built.

Pieces run in the order of the source, and so do the ops in them, so that mutations keep their
order without any analysis of who mutates what. Two kinds of node run in no piece. Unpacking a
tuple is only a name for a leaf (see :mod:`.values`); indexing a *tensor* uses the same
``operator.getitem`` but is an op, and stays where it was written, because a splitting op may
write that tensor in between. And ``get_attr`` costs nothing: each piece reads its own.

Entering and leaving a region, of autocast or of inference mode, are no ops either, but a state in
which ops run. A region that spans a splitting op is entered and left by each piece in it.
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
    """The ops of one piece in source order, and the leaves that it takes and gives."""

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
    # the regions that an op runs in, outermost first, by the nodes that enter them
    regions: dict[fx.Node, tuple[fx.Node, ...]] = field(default_factory=dict)


def partition_graph(graph: fx.Graph, splitting_ops: Collection[str]) -> Partition:
    """Assign each op to a piece: every splitting op its own, the ops between two another."""
    partition = Partition()
    splits: dict[object, bool] = {}  # a graph calls few distinct ops many times
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
