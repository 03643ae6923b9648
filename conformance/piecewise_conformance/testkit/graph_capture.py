"""Graphs as Dynamo captures them, with the arguments that it passes at run time.

Capturing costs a tenth of a second, so each program is captured once per process. A test gets a
fresh copy of the graph, for a subject may change what it is given.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import torch
from piecewise_fixtures.fx_graphs import GRAPHS, GraphProgram, graph_program
from piecewise_fixtures.programs import PROGRAMS, Program, program
from torch import fx

from .capture_cache import settle
from .oracle import copy_values


@dataclass
class Captured:
    """A graph, captured by Dynamo or made by hand, and arguments to call it with.

    ``args[n]`` are the arguments for n tokens, SymInts being ints; sizes for which Dynamo made
    another graph are not among them. ``kwargs[n]`` likewise, where there are any.
    """

    name: str
    gm: fx.GraphModule
    splitting_ops: tuple[str, ...]
    example_inputs: list[Any] = field(default_factory=list)
    args: dict[int, list[Any]] = field(default_factory=dict)
    kwargs: dict[int, dict[str, Any]] = field(default_factory=dict)
    observed: dict[int, Any] = field(default_factory=dict, repr=False)  # as drive.expected makes it

    def fresh(self) -> fx.GraphModule:
        """A copy of the graph that shares parameters and traced values."""
        gm = fx.GraphModule(self.gm, copy.deepcopy(self.gm.graph))
        gm.meta.update(self.gm.meta)
        return gm

    def source(self) -> str:
        """The graph as text, for the message of a failure."""
        return str(self.gm.graph)


def mark_dynamic(program: Program, args: tuple[Any, ...], kind: str = "BACKED") -> None:
    """Tell Dynamo which dimensions of ``args`` vary; a size of 1 it would refuse, unless it is to
    know no example of it (``kind`` UNBACKED).
    """
    for position, dim in program.dynamic:
        if kind == "UNBACKED":
            torch._dynamo.decorators.mark_unbacked(args[position], dim)
        elif args[position].shape[dim] > 1:
            torch._dynamo.mark_dynamic(args[position], dim)


def all_names() -> list[str]:
    """Every graph there is: those of programs, and those made by hand as ``fx:NAME``."""
    return [*PROGRAMS, *(f"fx:{name}" for name in GRAPHS)]


_given: dict[str, Captured] = {}


@contextmanager
def given(graph: Captured) -> Iterator[str]:
    """Inside, ``graph`` is among the graphs that tests ask for by name; gives its name."""
    _given[graph.name] = graph
    try:
        yield graph.name
    finally:
        del _given[graph.name]


def captured(name: str) -> Captured:
    """The graph ``name`` of :func:`all_names`, or one that is :func:`given`."""
    return _given.get(name) or _kept(name)


@cache
def _kept(name: str) -> Captured:
    if name.startswith("fx:"):
        return _made_by_hand(graph_program(name.removeprefix("fx:")))
    return _captured(program(name))


def _made_by_hand(chosen: GraphProgram) -> Captured:
    gm, make_args = chosen.build()
    return Captured(
        f"fx:{chosen.name}",
        gm,
        tuple(chosen.splitting_ops),
        list(make_args(chosen.sizes[0])),
        {size: list(make_args(size)) for size in chosen.sizes},
        {size: chosen.make_kwargs(size) for size in chosen.sizes},
    )


def _captured(chosen: Program) -> Captured:
    """``chosen`` captured for the first of its sizes, and run for all of them."""
    graphs: list[Captured] = []
    calls: list[tuple[Captured, list[Any]]] = []

    def backend(gm: fx.GraphModule, example_inputs: list[Any]) -> Callable[..., Any]:
        graph = Captured(chosen.name, gm, tuple(chosen.splitting_ops), list(example_inputs))
        graphs.append(graph)

        def run(*args: Any) -> Any:
            calls.append((graph, copy_values(list(args))))
            return gm(*args)

        return run

    settle()
    with torch.no_grad():
        compiled = torch.compile(chosen.build(), backend=backend, fullgraph=True)
        for size in chosen.sizes:
            args = chosen.inputs(size)
            mark_dynamic(chosen, args)
            compiled(*args)
            graph, flat = calls[-1]
            if graph is graphs[0]:
                graph.args[size] = flat
    settle()
    return graphs[0]
