"""The reference's splitter, which kills its process over one program and hangs over another.

``ALIVE`` names a pipe that its processes keep open, and into which each writes a line.
"""

import ctypes
import os
from typing import Any

import piecewise_reference
from piecewise_fixtures.generated import build_graph
from piecewise_fixtures.generated.corpus import corpus

if pipe := os.environ.get("ALIVE"):
    os.write(os.open(pipe, os.O_WRONLY), b"alive\n")


def _looks(graph: Any) -> list[tuple[str, str]]:
    return [(node.op, str(node.target)) for node in graph.graph.nodes]


CRASHES, HANGS = (
    _looks(build_graph(corpus()[name])) for name in ("chunks-over-op", "size-over-op")
)


def split_graph(graph: Any, splitting_ops: Any) -> Any:
    """As the reference does it, for all others."""
    if _looks(graph) == CRASHES:
        ctypes.string_at(0)
    while _looks(graph) == HANGS:
        pass
    return piecewise_reference.split_graph(graph, splitting_ops)
