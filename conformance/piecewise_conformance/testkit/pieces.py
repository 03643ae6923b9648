"""Small graphs such as a splitter makes, for tests of what handles one piece at a time.

Each takes the batch size and one tensor of 6 rows, and returns a tuple. Values under tracing are
filled in, so that a compiler finds symbols in it.
"""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from piecewise_fixtures.fx_graphs import annotate
from torch import fx, nn

from .oracle import EXACT, Rule, check, observe

ROWS, WIDTH = 6, 8

Body = Callable[[fx.Graph, fx.Node, fx.Node], Any]


@dataclass
class PieceCase:
    """A piece, what tracing saw of its inputs, and arguments for any number of rows."""

    gm: fx.GraphModule
    traced: list[Any]
    dtype: torch.dtype = torch.float32

    def args(self, rows: int) -> list[Any]:
        """Arguments for ``rows`` rows; the same numbers every time."""
        generator = torch.Generator().manual_seed(rows)
        return [rows, torch.randn((rows, WIDTH), generator=generator).to(self.dtype)]

    def check(self, runnable: Callable[..., Any], rows: int = ROWS, rule: Rule = EXACT) -> None:
        """``runnable`` must do what the piece does."""
        args = self.args(rows)
        with torch.no_grad():
            expected, got = observe(self.gm, args), observe(runnable, args)
        got = dataclasses.replace(got, outputs=_as_packed(got.outputs, expected.outputs))
        check(expected, got, rule, program=lambda: str(self.gm.graph), where=f"for {rows} rows")


def _as_packed(got: Any, expected: Any) -> Any:
    """``got`` packed as ``expected``, where the two are unpacked alike.

    Inductor gives a list for a tuple, and some backends a tuple of one for a bare tensor. Who calls
    a piece knows how it is packed; what a user sees is judged as it is, by STITCH-001. A bare
    tensor for a tuple is another thing: unpacking it gives its first row.
    """
    if type(expected) is tuple and type(got) is list:
        return tuple(got)
    if isinstance(expected, torch.Tensor) and type(got) in (tuple, list) and len(got) == 1:
        return got[0]
    return got


def piece(
    body: Body, *, root: nn.Module | None = None, dtype: torch.dtype = torch.float32
) -> PieceCase:
    """The piece that computes ``body(graph, s0, x)``."""
    graph = fx.Graph()
    s0, x = graph.placeholder("s0"), graph.placeholder("x")
    graph.output(body(graph, s0, x))
    gm = fx.GraphModule(root or nn.Module(), graph)
    case = PieceCase(gm, [], dtype)
    annotate(gm, tuple(case.args(ROWS)), ((1, 0),))
    del gm.graph.output_node().meta["example_value"]  # Dynamo notes none there
    case.traced = [node.meta["example_value"] for node in gm.graph.find_nodes(op="placeholder")]
    return case


def times(factor: float) -> PieceCase:
    """X * factor."""
    return piece(lambda g, s, x: (g.call_function(operator.mul, (x, factor)),))


@contextmanager
def tracing(case: PieceCase) -> Iterator[None]:
    """The contexts in which Dynamo calls a backend: of tracing, with the fake mode of ``case``, and
    of Dynamo's own account of where time goes, which some compilers add to.
    """
    from torch._dynamo.utils import dynamo_timed
    from torch._guards import TracingContext, detect_fake_mode
    from torch._guards import tracing as enter

    with enter(TracingContext(detect_fake_mode(case.traced))), dynamo_timed("backend"):
        yield
