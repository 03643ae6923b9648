"""Inductor is given graphs that return one flat tuple, whatever the graph returned.

Inductor's callables wrap and unwrap single outputs differently when fresh and when loaded, and
from release to release. A flat tuple is what all agree on; the structure is put back here, in the
same way for both.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import fx
from torch.utils import _pytree as pytree


def flatten_outputs(graph: fx.GraphModule) -> tuple[fx.GraphModule, pytree.TreeSpec]:
    """A copy of ``graph`` that returns a flat tuple, and the structure that it returned."""
    flat = fx.Graph()
    output = flat.graph_copy(graph.graph, {})
    flat.output(tuple(pytree.tree_leaves(output)))
    return fx.GraphModule(graph, flat), output_structure(graph)


def output_structure(graph: fx.GraphModule) -> pytree.TreeSpec:
    """The structure of what ``graph`` returns."""
    return pytree.tree_structure(graph.graph.output_node().args[0])


class InductorRunnable:
    """A callable of Inductor's, with the structure of its outputs put back.

    ``to_bytes``, if there is one, gives the artifact as bytes from which the compiler's
    ``from_bytes`` makes the callable again. It raises OSError or RuntimeError if there is nothing
    that can be kept.
    """

    def __init__(
        self,
        compiled: Callable[..., Any],
        spec: pytree.TreeSpec,
        to_bytes: Callable[[], bytes] | None = None,
    ) -> None:
        self.compiled = compiled
        self.to_bytes = to_bytes
        self._spec = spec
        # graphs from the splitter return plain tuples: they pay for no tree
        self._is_tuple = spec == pytree.tree_structure(tuple(range(spec.num_leaves)))

    def __call__(self, *args: Any) -> Any:
        outputs = self.compiled(*args)
        return tuple(outputs) if self._is_tuple else pytree.tree_unflatten(outputs, self._spec)
