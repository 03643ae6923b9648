"""A correct splitter of another kind: names, numbers and shapes of pieces that nobody expects.

Neighbouring splitting ops share a piece; numbers have gaps; what is taken out of containers is
taken in the stitched graph; every piece returns a list. Pieces run as they are, nothing is kept.
"""

from __future__ import annotations

import copy
import operator
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import fx, nn

sys.path.insert(0, str(Path(__file__).parent))  # it is given to the harness by its path
from cutting import SIZE, cut, known, paths, put_together

ABILITIES = ("eager", "splitting")


@dataclass
class SplitItem:
    """One piece."""

    submod_name: str
    graph_id: int
    is_splitting_graph: bool
    graph: fx.GraphModule


def split_graph(gm: fx.GraphModule, ops: list[str]) -> tuple[fx.GraphModule, list[SplitItem]]:
    """The pieces called by a graph, and what they are."""
    parts = cut(gm, list(ops))
    root, graph = nn.Module(), fx.Graph()
    env: dict[fx.Node, Any] = {}
    leaves: dict[Any, Any] = {}
    by_name = {node.name: node for node in gm.graph.nodes}

    def leaf(name: str, path: tuple[Any, ...]) -> Any:
        if (name, path) not in leaves and path[:1] == (SIZE,):
            args = (env[by_name[name]], path[1])
            leaves[name, path] = graph.call_function(torch.ops.aten.sym_size.int, args)
        if (name, path) not in leaves:
            source = env[by_name[name]] if not path else leaf(name, path[:-1])
            step = graph.call_function(operator.getitem, (source, path[-1])) if path else source
            leaves[name, path] = step
        return leaves[name, path]

    for node in gm.graph.find_nodes(op="placeholder"):
        env[node] = graph.node_copy(node)
    for at, part in enumerate(parts):
        name = f"stage_{chr(ord('a') + at % 26)}{at}"
        made = part.gm.graph.output_node()
        outputs: Any = made.args[0]
        made.args = (list(outputs),)
        part.gm.recompile()
        root.add_module(name, part.gm)
        call = graph.call_module(name, tuple(leaf(*place) for place in part.takes))
        for number, place in enumerate(part.makes):
            leaves[place] = graph.call_function(operator.getitem, (call, number))

    def whole(node: fx.Node) -> Any:
        if node.op == "placeholder":
            return env[node]
        if node.op == "get_attr":
            held = f"held_{node.name}"
            setattr(root, held, operator.attrgetter(str(node.target))(gm))
            return graph.get_attr(held)
        places = iter([leaf(node.name, path) for path in paths(known(node))])
        return put_together(known(node), places, graph)

    graph.output(fx.node.map_arg(gm.graph.output_node().args[0], whole))
    graph.output_node().meta = copy.copy(gm.graph.output_node().meta)
    items = [
        SplitItem(name, 10 * at + 7, part.splitting, part.gm)
        for at, (part, name) in enumerate(zip(parts, dict(root.named_children()), strict=False))
    ]
    return fx.GraphModule(root, graph), items


def make_backend(options: Any) -> Any:
    """A torch.compile backend."""

    def backend(graph: Any, example_inputs: Any) -> Any:
        return split_graph(graph, options.splitting_ops)[0]

    return backend
