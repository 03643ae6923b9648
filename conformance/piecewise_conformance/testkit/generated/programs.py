"""A program while it is judged: its graph and its module, made once for all that ask."""

from __future__ import annotations

import gc
import hashlib
import random
from functools import cached_property

import torch
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

from ..testkit.capture_cache import forget as forget_recorded
from ..testkit.capture_cache import reuse
from ..testkit.graph_capture import Captured

_ALL_SIZES = 5  # one program of so many runs for all sizes, the others for two


def quicken() -> None:
    """Make this process, which does nothing but search, capture as quickly as it can.

    What Dynamo captured serves all properties of a program; a script asks again, without. And
    Dynamo does not measure its guards, for which it empties the processor's cache: nobody reads it.
    Of what torch brought with it nothing is ever garbage: it is not looked through for any.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    reuse(True)
    vars(torch._dynamo.guards)["profile_guard_manager"] = lambda *args: 0.0


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
