"""A backend of one's own in the form that the README shows."""

from typing import Any

from piecewise_reference import split_graph  # your own splitter here

ABILITIES = ("eager", "splitting")


def make_backend(options: Any) -> Any:
    """A torch.compile backend: splits the graph, and runs the pieces as they are."""

    def backend(graph: Any, example_inputs: Any) -> Any:
        split_gm, _items = split_graph(graph, options.splitting_ops)
        return split_gm

    return backend
