"""Give Inductor graphs that return a flat tuple, and restore the original output structure.

Inductor's callables wrap and unwrap single outputs differently depending on whether they are fresh
or loaded, and on the release. A flat tuple is handled consistently. The structure is restored here,
in the same way for both.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import fx
from torch.utils import _pytree as pytree


def flatten_outputs(graph: fx.GraphModule) -> tuple[fx.GraphModule, pytree.TreeSpec]:
    """Return a copy of ``graph`` with a flat output tuple, and the original structure."""
    flat = fx.Graph()
    output = flat.graph_copy(graph.graph, {})
    flat.output(tuple(pytree.tree_leaves(output)))
    return fx.GraphModule(graph, flat), output_structure(graph)


def output_structure(graph: fx.GraphModule) -> pytree.TreeSpec:
    """The structure of the output of ``graph``."""
    return pytree.tree_structure(graph.graph.output_node().args[0])


class InductorRunnable:
    """A callable of Inductor with the original output structure.

    ``to_bytes``, if there is one, returns the artifact as bytes for the compiler's ``from_bytes``.
    It raises OSError or RuntimeError if there is nothing to save.
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
        # graphs from the splitter return plain tuples and need no pytree
        self._is_tuple = spec == pytree.tree_structure(tuple(range(spec.num_leaves)))

    def __call__(self, *args: Any) -> Any:
        outputs = self.compiled(*args)
        return tuple(outputs) if self._is_tuple else pytree.tree_unflatten(outputs, self._spec)
