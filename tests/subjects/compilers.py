"""Compilers alone, of the forms that they have: correct ones, and ones that are written wrongly."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from torch import fx

_kept: dict[Any, fx.GraphModule] = {}  # what a disk would hold


def rewrites(graph: Any, example_inputs: Any) -> Callable[..., Any]:
    """Does with the graph what it likes, as backends of torch.compile do, and returns lists."""
    run = fx.GraphModule(graph, copy.deepcopy(graph.graph))
    graph.graph.output_node().args = ((),)
    graph.graph.eliminate_dead_code()
    graph.recompile()
    return lambda *args: list(run(*args))


class Keeps:
    """Gives handles."""

    name = "keeps"

    def initialize_cache(
        self, cache_dir: str, disable_cache: bool = False, prefix: str = ""
    ) -> None:
        """It needs no folder."""

    def compute_hash(self, vllm_config: Any) -> str:
        """Always the same."""
        return self.name

    def compile(
        self, graph: Any, example_inputs: Any, config: Any, compile_range: Any, key: Any = None
    ) -> Any:
        """A copy of the graph."""
        handle = (str(key), str(len(_kept)))
        _kept[handle] = fx.GraphModule(graph, copy.deepcopy(graph.graph))
        return [_kept[handle], handle]

    def load(self, handle: Any, graph: Any, *rest: Any) -> Any:
        """What was compiled."""
        return _kept[handle]


class PerGraph:
    """A class whose objects are what was compiled."""

    def __init__(self, graph: Any, example_inputs: Any) -> None:
        self.graph = graph

    def __call__(self, *args: Any) -> Any:
        """Run it."""
        return self.graph(*args)


def decorated(*args: Any) -> Any:
    """Wrapped by somebody who does not say what it takes."""
    return args[0].forward


def gives_nothing(graph: Any, example_inputs: Any) -> None:
    """Forgets its return."""


def gives_a_pair(graph: Any, example_inputs: Any) -> Any:
    """Answers as an object with the interface does."""
    return graph, None


class GivesNothing(Keeps):
    """Forgets its return, too."""

    def compile(self, *args: Any) -> Any:
        """Nothing."""


class Partial:
    """Has a part of the interface."""

    name = "partial"

    def compile(self, graph: Any, example_inputs: Any) -> Any:
        """As a function would."""
        return graph


class NeedsAnArgument(Keeps):
    """Cannot be made without one."""

    def __init__(self, level: int) -> None:
        self.level = level


class Nameless(Keeps):
    """Has no name."""

    name: Any = None
