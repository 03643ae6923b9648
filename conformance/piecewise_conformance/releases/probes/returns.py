"""What ``standalone_compile`` returns, and what it does with an artifact that cannot be saved."""

from __future__ import annotations

import os
import tempfile

import torch

from .child import raised
from .compiling import graph_of, standalone, structure
from .registry import probe


@probe("standalone-returns-bare")
def bare() -> str:
    """The structure for a graph that returns one tensor."""
    graph = graph_of(lambda a, b: a)
    return structure(standalone(graph, [torch.ones(4)])(torch.ones(4)))


@probe("standalone-returns-one")
def one() -> str:
    """The structure for a graph that returns a tuple of one."""
    graph = graph_of(lambda a, b: (a,))
    return structure(standalone(graph, [torch.ones(4)])(torch.ones(4)))


@probe("standalone-returns-two")
def two() -> str:
    """The structure for a graph that returns a tuple of two."""
    graph = graph_of(lambda a, b: (a, b))
    return structure(standalone(graph, [torch.ones(4)])(torch.ones(4)))


@probe("standalone-returns-one-loaded")
def one_loaded() -> str:
    """The structure for a graph that returns a tuple of one, from an artifact that was loaded."""
    from torch._inductor.standalone_compile import CompiledArtifact

    artifact = standalone(graph_of(lambda a, b: (a,)), [torch.ones(4)])
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "artifact")
        artifact.save(path=path, format="binary")
        loaded = CompiledArtifact.load(path=path, format="binary")
    return structure(loaded(torch.ones(4)))


def _not_of_torch(x: torch.Tensor) -> torch.Tensor:
    return x.sin()


@probe("standalone-unsaveable")
def unsaveable() -> str:
    """What saving raises for a graph that calls a function which AOTAutograd does not cache."""
    graph = graph_of(lambda a, b: a)
    node = next(each for each in graph.graph.nodes if each.op == "call_function")
    with graph.graph.inserting_after(node):
        called = graph.graph.call_function(_not_of_torch, (node,))
    node.replace_all_uses_with(called, delete_user_cb=lambda user: user is not called)
    graph.recompile()
    artifact = standalone(graph, [torch.ones(4)])
    with tempfile.TemporaryDirectory() as folder:
        try:
            artifact.save(path=os.path.join(folder, "artifact"), format="binary")
        except Exception as error:
            return raised(error)
    return "is saved"
