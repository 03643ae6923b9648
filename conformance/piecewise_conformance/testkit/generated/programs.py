"""A program while it is judged: its graph and its module, made once for all that ask."""

from __future__ import annotations

import hashlib
import random
from functools import cached_property

import torch
from piecewise_fixtures.forward_context import ForwardContext
from piecewise_fixtures.generated import (
    SIZES,
    Program,
    Space,
    as_program,
    build_graph,
    forget,
    graph_arguments,
)
from piecewise_fixtures.generated.build import Generated

from ..capture_cache import forget as forget_recorded
from ..graph_capture import Captured

# Every batch is one sequence of one token and padding: attention's context fits every size.
CONTEXT = ForwardContext((1,))

_ALL_SIZES = 5  # one program of so many runs for all sizes, the others for two


class Drawn:
    """``program``, with what was made of it so far."""

    def __init__(self, program: Program, space: Space | None = None) -> None:
        self.program, self.space = program, space

    @cached_property
    def digest(self) -> str:
        """What tells the program from others."""
        return hashlib.sha256(self.program.to_json().encode()).hexdigest()[:16]

    @cached_property
    def graph(self) -> Captured:
        """The graph of the program, built without Dynamo, with its arguments."""
        args = {size: list(graph_arguments(self.program, size)) for size in self._sizes()}
        gm = build_graph(self.program, self.space)
        name = f"drawn:{self.digest}"
        return Captured(name, gm, self.program.splitting_ops, list(args[SIZES[0]]), args)

    @cached_property
    def built(self) -> Generated:
        """The program as a module."""
        return as_program(self.program, f"drawn:{self.digest}")

    def _sizes(self) -> tuple[int, ...]:
        decide = random.Random(self.digest)
        return SIZES if decide.randrange(_ALL_SIZES) == 0 else (SIZES[0], decide.choice(SIZES[1:]))

    def forget(self) -> None:
        """Let go of the module, of which a search makes thousands."""
        if "built" in vars(self):
            forget_recorded(self.built)
            forget(self.built.module)
            torch._dynamo.reset()


def as_graph(program: Program, space: Space | None = None) -> Captured:
    """The graph of ``program``, with its arguments for every size."""
    drawn = Drawn(program, space)
    graph = drawn.graph
    graph.args = {size: list(graph_arguments(program, size)) for size in SIZES}
    return graph
