"""Cutting a graph into parts that only leaves cross, for the backends beside this file.

Neighbouring splitting ops share a part. A leaf is known by the name of the node that made it and
the way to it through tuples, lists and dicts.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx
from torch.amp import autocast_mode
from torch.autograd import grad_mode

Path = tuple[Any, ...]
Place = tuple[str, Path]  # a leaf
EXITS = {
    autocast_mode._enter_autocast: autocast_mode._exit_autocast,
    grad_mode._enter_inference_mode: grad_mode._exit_inference_mode,
}
SIZE = "size"  # (SIZE, dim) at the end of a path: the size of that dimension


def known(node: fx.Node) -> Any:
    """What tracing saw of a node."""
    return node.meta.get("example_value", node.meta.get("val"))


def children(value: Any) -> list[tuple[Any, Any]] | None:
    """What is in a container, each with its key; None for a leaf."""
    if isinstance(value, dict):
        return list(value.items())
    return list(enumerate(value)) if isinstance(value, (tuple, list)) else None


def paths(value: Any, path: Path = ()) -> list[Path]:
    """Where the leaves of a value are."""
    inside = children(value)
    if inside is None:
        return [path]
    return [leaf for key, each in inside for leaf in paths(each, (*path, key))]


def at_path(value: Any, path: Path) -> Any:
    """What is there."""
    for step in path:
        value = value[step]
    return value


def put_together(value: Any, leaves: Iterator[Any], graph: fx.Graph) -> Any:
    """A container like ``value`` with other leaves."""
    found = children(value)
    if found is None:
        return next(leaves)
    inside = [put_together(each, leaves, graph) for _, each in found]
    if isinstance(value, dict):
        return dict(zip(value, inside, strict=True))
    if isinstance(value, torch.Size):
        return graph.call_function(torch.Size, (inside,))
    return inside if isinstance(value, list) else tuple(inside)


def symbols(value: Any) -> set[Any]:
    """The symbols in a number or in a shape."""
    if isinstance(value, torch.SymInt):
        return set(value.node.expr.free_symbols)
    if isinstance(value, torch.Tensor) and value.layout is torch.strided:
        sizes = (*value.shape, *value.stride(), value.storage_offset())
        return set().union(*map(symbols, sizes))
    return set()


@dataclass
class Part:
    """A graph, the leaves that it takes, and those that it makes."""

    splitting: bool
    gm: fx.GraphModule
    takes: list[Place]
    makes: list[Place]
    examples: list[Any]


def is_named(node: fx.Node, names: set[str]) -> bool:
    """Whether a node calls one of the named ops."""
    target = node.target
    if node.op != "call_function":
        return False
    if isinstance(target, torch._ops.OpOverload):
        packet = target._schema.name
        return bool({packet, f"{packet}.{target._overloadname}"} & names)
    if isinstance(target, torch._ops.OpOverloadPacket):
        own = target._qualified_op_name
        return own in names or {f"{own}.{each}" for each in target.overloads()} <= names
    if isinstance(target, torch._ops.HigherOrderOperator):
        return target.name() in names or f"{target.namespace}::{target.name()}" in names
    return False


def cut(gm: fx.GraphModule, ops: list[str]) -> list[Part]:
    """The parts of a graph, in order."""
    names = set(ops)
    groups: list[tuple[bool, list[Any]]] = []  # nodes, and (enter,) where a region is left
    regions: list[fx.Node] = []  # of autocast: each part in one enters and leaves it
    where: dict[fx.Node, int] = {}
    for node in gm.graph.nodes:
        if node.op in ("placeholder", "output", "get_attr"):
            continue
        source = node.args[0] if node.args else None
        if (
            node.target is operator.getitem
            and isinstance(source, fx.Node)
            and isinstance(known(source), (tuple, list))
            and source in where
            and isinstance(node.args[1], int)
        ):
            groups[where[source]][1].append(node)
            where[node] = where[source]
            continue
        if node.target in EXITS:
            regions.append(node)
            if groups:
                groups[-1][1].append(node)
            continue
        if node.target in EXITS.values():
            regions.remove(node.args[0])
            groups[-1][1].append((node.args[0],))
            continue
        flag = is_named(node, names)
        if not groups or groups[-1][0] != flag:
            if groups:
                groups[-1][1].extend((each,) for each in reversed(regions))
            groups.append((flag, list(regions)))
        groups[-1][1].append(node)
        where[node] = len(groups) - 1
    homes = {known(n).node.expr: n for n in reversed(gm.graph.find_nodes(op="placeholder"))
             if isinstance(known(n), torch.SymInt)}  # fmt: skip
    for node in where:
        if isinstance(known(node), torch.SymInt):
            homes.setdefault(known(node).node.expr, node)
    sizes: dict[Any, Place] = {}  # of symbols that no node is
    for node in gm.graph.find_nodes(op="placeholder"):
        if isinstance(known(node), torch.Tensor):
            for dim, size in enumerate(known(node).shape):
                if isinstance(size, torch.SymInt) and size.node.expr.is_Symbol:
                    sizes.setdefault(size.node.expr, (node.name, (SIZE, dim)))
    return [
        _part(gm, at, flag, members, where, homes, sizes)
        for at, (flag, members) in enumerate(groups)
    ]


def _part(
    gm: fx.GraphModule,
    at: int,
    splitting: bool,
    steps: list[Any],
    where: dict[fx.Node, int],
    homes: dict[Any, fx.Node],
    sizes: dict[Any, Place],
) -> Part:
    members = [each for each in steps if isinstance(each, fx.Node)]
    inside = set(members)
    needed: dict[fx.Node, None] = {}
    takes: list[Place] = []
    for node in members:
        for each in node.all_input_nodes:
            if each not in inside and each.op != "get_attr":
                needed[each] = None
    for each in list(needed):
        for symbol in sorted(symbols(known(each)), key=str):
            if (home := homes.get(symbol)) is not None and where.get(home, -1) < at:
                needed.setdefault(home)
            elif symbol in sizes and sizes[symbol] not in takes:
                takes.append(sizes[symbol])
    ordered = [each for each in gm.graph.nodes if each in needed]
    graph = fx.Graph()
    env: dict[fx.Node, Any] = {}
    examples: list[Any] = []
    for name, (_, dim) in takes:
        placeholder = graph.placeholder(f"{name}_size_{dim}")
        (source,) = (each for each in gm.graph.nodes if each.name == name)
        placeholder.meta["example_value"] = known(source).shape[dim]
        examples.append(known(source).shape[dim])
    held: dict[fx.Node, Iterator[Any]] = {}
    for node in ordered:
        leaves = []
        for path in paths(known(node)):
            placeholder = graph.placeholder("_".join([node.name, *map(str, path)]))
            value = at_path(known(node), path)
            placeholder.meta["example_value"] = value
            takes.append((node.name, path))
            examples.append(value)
            leaves.append(placeholder)
        held[node] = iter(leaves)
    for node, rest in held.items():
        env[node] = put_together(known(node), rest, graph)

    def own(each: fx.Node) -> Any:
        if each.op == "get_attr" and each not in env:
            env[each] = graph.node_copy(each)
        return env[each]

    for node in steps:
        if isinstance(node, tuple):
            graph.call_function(EXITS[node[0].target], (env[node[0]],))
            continue
        env[node] = graph.create_node(
            node.op,
            node.target,
            fx.node.map_arg(node.args, own),
            fx.node.map_arg(node.kwargs, own),
            node.name,
        )
        env[node].meta = dict(node.meta)
    makes: list[Place] = []
    results = []
    for node in members:
        if node not in where or all(user in inside for user in node.users):
            continue
        for path in paths(known(node)):
            leaf = env[node]
            for step in path:
                leaf = graph.call_function(operator.getitem, (leaf, step))
            makes.append((node.name, path))
            results.append(leaf)
    graph.output(tuple(results))
    return Part(splitting, fx.GraphModule(gm, graph), takes, makes, examples)
