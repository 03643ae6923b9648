"""Build the graphs of a :class:`.Partition`: one for each piece, and one that calls them.

There are three steps. ``_connect`` finds the input and output leaves of each piece.
``_build_piece`` copies its ops. ``_build_root`` calls the pieces in order. Every piece takes leaves
and returns a tuple of leaves.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import fx

from ..fastpath.fx_building import add_node, copy_node, free_name, lazy_module
from ..tracing.symbols import free_symbols, symbol_sources
from ..tracing.values import UNKNOWN, Leaf, is_shape_read, leaf_value, resolve, value_of
from .partition import EXIT_OF, Partition, Piece


def stitch(graph: fx.GraphModule, partition: Partition) -> tuple[fx.GraphModule, list[str]]:
    """Build the split graph. Also returns the names of its children in the order they run."""
    _connect(graph.graph, partition)
    names = [f"submod_{i}" for i in range(len(partition.pieces))]
    children = {
        name: lazy_module(graph, _build_piece(partition, i, piece), name)
        for i, (name, piece) in enumerate(zip(names, partition.pieces, strict=True))
    }
    root, attributes = _build_root(graph, partition, names)
    split_gm = lazy_module({**children, **attributes}, root, "GraphModule")
    split_gm.meta.update(graph.meta)
    split_gm.training = graph.training  # train() would also reach modules shared with ``graph``
    return split_gm, names


def _map_leaves(structure: Any, visit: Callable[[Leaf], Any]) -> Any:
    """Replace every leaf of ``structure`` (from ``resolve``) by ``visit(leaf)``."""
    if isinstance(structure, Leaf):  # before tuple: a Leaf is a NamedTuple
        return visit(structure)
    if isinstance(structure, (tuple, list)):
        return type(structure)(_map_leaves(item, visit) for item in structure)
    if isinstance(structure, dict):
        return {key: _map_leaves(item, visit) for key, item in structure.items()}
    return structure


def _is_local(partition: Partition, node: fx.Node, piece_id: int) -> bool:
    return partition.piece_of.get(node) == piece_id


def _read_again(partition: Partition, node: fx.Node, piece_id: int) -> bool:
    """Whether each piece repeats a shape read. A shape of unknown length cannot be unpacked, and
    reading it again costs nothing.
    """
    return (
        is_shape_read(node)
        and value_of(node) is UNKNOWN
        and not _is_local(partition, node, piece_id)
    )


def _connect(graph: fx.Graph, partition: Partition) -> None:
    """Fill in the inputs and outputs of all pieces."""
    sources = symbol_sources(graph.nodes)
    order = {symbol: position for position, symbol in enumerate(sources)}

    def give(leaf: Leaf) -> None:
        """Have the piece that makes ``leaf`` return it (a size is read from its tensor later)."""
        if (maker := partition.piece_of.get(leaf.node)) is not None:
            partition.pieces[maker].outputs[leaf._replace(dim=None)] = None

    for piece_id, piece in enumerate(partition.pieces):
        used = _leaves_from_outside(partition, piece_id, piece)
        symbols = {symbol for leaf in used for symbol in free_symbols(leaf_value(leaf))}
        for symbol in sorted(symbols & order.keys(), key=order.__getitem__):
            piece.inputs[sources[symbol]] = None
        piece.inputs.update(used)
        for leaf in piece.inputs:
            give(leaf)
    for node in graph.output_node().all_input_nodes:
        _map_leaves(resolve(node), give)


def _leaves_from_outside(partition: Partition, piece_id: int, piece: Piece) -> dict[Leaf, None]:
    """The leaves that a piece uses but does not make, in order of use."""
    used: dict[Leaf, None] = {}

    def add(leaf: Leaf) -> None:
        if leaf.node.op != "get_attr" and not _is_local(partition, leaf.node, piece_id):
            used[leaf] = None

    seen: set[fx.Node] = set()
    for node in piece.nodes:
        for source in node.all_input_nodes:
            if _is_local(partition, source, piece_id) or source in seen:
                continue
            seen.add(source)
            while _read_again(partition, source, piece_id):
                (source,) = source.all_input_nodes
            if not _is_local(partition, source, piece_id):
                _map_leaves(resolve(source), add)
    return used


def _describe(node: fx.Node, leaf: Leaf) -> None:
    """Copy the metadata of ``leaf`` to ``node``, which represents it in another graph."""
    if not leaf.path and leaf.dim is None:
        node.meta.update(leaf.node.meta)
    elif (value := leaf_value(leaf)) is not UNKNOWN:
        node.meta["example_value"] = value


class _Mapper:
    """Maps nodes of the original graph to the nodes that represent them in a new graph."""

    def __init__(self, graph: fx.Graph) -> None:
        self.graph = graph
        self.copied: dict[fx.Node, fx.Node] = {}  # whole nodes
        self.leaves: dict[Leaf, fx.Node] = {}  # parts of them

    def stands_for(self, node: fx.Node, leaf: Leaf) -> None:
        """Record that the new ``node`` represents ``leaf``."""
        _describe(node, leaf)
        if leaf.path or leaf.dim is not None:
            self.leaves[leaf] = node
        else:
            self.copied[leaf.node] = node

    def leaf(self, leaf: Leaf) -> fx.Node:
        """The node that represents ``leaf``; created on first use, then kept."""
        if not leaf.path and leaf.dim is None:
            return self.whole(leaf.node)
        if leaf in self.leaves:
            return self.leaves[leaf]
        if leaf.dim is not None:
            tensor = self.leaf(leaf._replace(dim=None))
            node = self.graph.call_function(torch.ops.aten.sym_size.int, (tensor, leaf.dim))
        else:
            *outer, index = leaf.path
            aggregate = self.leaf(leaf._replace(path=tuple(outer)))
            node = self.graph.call_function(operator.getitem, (aggregate, index))
        self.stands_for(node, leaf)
        return node

    def whole(self, node: fx.Node) -> fx.Node:
        """The node that represents the whole value of ``node``."""
        if node not in self.copied:
            # only for get_attr and shape reads: all others are copied, or are inputs
            self.copied[node] = copy_node(self.graph, node, self.argument)
        return self.copied[node]

    def argument(self, node: fx.Node) -> Any:
        """The replacement for ``node`` as an argument: a node, or a tuple or list of nodes."""
        if node in self.copied:
            return self.copied[node]
        return _map_leaves(resolve(node), self.leaf)


def _build_piece(partition: Partition, piece_id: int, piece: Piece) -> fx.Graph:
    graph = fx.Graph()
    mapper = _Mapper(graph)
    for leaf in piece.inputs:
        name = free_name(graph, leaf.node.name)  # differs if two leaves of one node are inputs
        mapper.stands_for(add_node(graph, "placeholder", name, (), name), leaf)
    entered: list[tuple[fx.Node, fx.Node]] = []  # regions: the original, the copy
    for node in piece.nodes:
        if partition.regions:
            _enter_regions(graph, entered, partition.regions.get(node, ()))
        copy = copy_node(graph, node, mapper.argument)
        mapper.copied[node] = copy
        if node.op == "call_method" and isinstance(copy.args[0], tuple):
            # a method of a shape, which the tuple that represents the shape does not have
            with graph.inserting_before(copy):
                copy.update_arg(0, graph.call_function(torch.Size, (copy.args[0],)))
    outputs = tuple(mapper.leaf(leaf) for leaf in piece.outputs)
    _enter_regions(graph, entered, ())
    graph.output(outputs)
    return graph


def _enter_regions(
    graph: fx.Graph, entered: list[tuple[fx.Node, fx.Node]], wanted: tuple[fx.Node, ...]
) -> None:
    """Leave regions, innermost first, and enter others, until exactly ``wanted`` are open."""
    while entered and entered[-1][0] not in wanted:
        original, copy = entered.pop()
        graph.call_function(EXIT_OF[original.target], (copy,))
    for node in wanted[len(entered) :]:
        entered.append((node, graph.node_copy(node)))


def _build_root(
    original: fx.GraphModule, partition: Partition, names: list[str]
) -> tuple[fx.Graph, dict[str, Any]]:
    """Build the graph that calls the pieces. Also returns the attributes that it reads."""
    graph = fx.Graph()
    mapper = _Mapper(graph)
    for node in original.graph.find_nodes(op="placeholder"):
        mapper.copied[node] = copy_node(graph, node, mapper.argument)
    for name, piece in zip(names, partition.pieces, strict=True):
        args = tuple(mapper.leaf(leaf) for leaf in piece.inputs)
        call = add_node(graph, "call_module", name, args, free_name(graph, name))
        values = tuple(leaf_value(leaf) for leaf in piece.outputs)
        if not any(value is UNKNOWN for value in values):
            call.meta["example_value"] = values
        for position, leaf in enumerate(piece.outputs):
            taken = free_name(graph, "getitem")
            output = add_node(graph, "call_function", operator.getitem, (call, position), taken)
            mapper.stands_for(output, leaf)
    output = original.graph.output_node()
    graph.node_copy(output, mapper.argument)
    attributes = {}
    for node in graph.find_nodes(op="get_attr"):
        value = operator.attrgetter(node.target)(original)
        while node.target.partition(".")[0] in names:  # here a piece is called so
            node.target = f"own_{node.target}".replace(".", "_")
        attributes[node.target] = value
    return graph, attributes
