"""The pass that ships with the backend: remove views that change nothing."""

from __future__ import annotations

import torch
from torch import fx
from torch.fx.experimental.symbolic_shapes import statically_known_true, sym_eq

from .inductor_pass import InductorPass


class NoOpEliminationPass(InductorPass):
    """Remove views that change neither shape nor strides and prevent patterns from matching."""

    _VIEWS = (
        torch.ops.aten.view.default,
        torch.ops.aten.reshape.default,
        torch.ops.aten.expand.default,
        torch.ops.aten.slice.Tensor,
    )

    def __call__(self, graph: fx.Graph) -> None:
        """Remove them, except those that the graph returns: an output may have to be a view."""
        output = graph.output_node()
        for node in list(graph.nodes):
            if node.target in self._VIEWS and output not in node.users and _same_view(node):
                node.replace_all_uses_with(node.args[0])
                graph.erase_node(node)


def _same_view(node: fx.Node) -> bool:
    (source, *_) = node.all_input_nodes
    before, after = source.meta.get("val"), node.meta.get("val")
    if not isinstance(before, torch.Tensor) or not isinstance(after, torch.Tensor):
        return False
    return all(
        statically_known_true(sym_eq(first, second))
        for first, second in (
            (before.shape, after.shape),
            (before.stride(), after.stride()),
            (before.storage_offset(), after.storage_offset()),
        )
    )
