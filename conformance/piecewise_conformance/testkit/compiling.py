"""Pieces for tests of a compiler, and ways to compile and check them."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from ..core.options import Options
from ..subject.facets import Compiler
from ..subject.subject import Subject
from .oracle import EXACT, Near, Rule, observe
from .pieces import ROWS, PieceCase, piece, tracing

RANGE = (1, 64)


@contextmanager
def counting_generated_code() -> Iterator[list[str]]:
    """A list that gets an entry for each graph that Inductor generates code for, inside, where its
    own cache is empty.

    What a subject tells of its compiles is not asked: a backend may load a wrong artifact, or none,
    and have Inductor compile on the way.
    """
    from torch._inductor.graph import GraphLowering
    from torch._inductor.utils import fresh_cache

    found: list[str] = []
    original: Any = GraphLowering.codegen

    def codegen(self: Any, *args: Any, **kwargs: Any) -> Any:
        found.append(str(getattr(self, "graph_id", "")))
        return original(self, *args, **kwargs)

    GraphLowering.codegen = codegen  # type: ignore[method-assign]
    try:
        with fresh_cache():
            yield found
    finally:
        GraphLowering.codegen = original  # type: ignore[method-assign]


def pair(g: Any, s: Any, x: Any) -> Any:
    """A body with two outputs."""
    return (g.call_function(torch.sin, (x,)), g.call_function(torch.cos, (x,)))


def _updates(g: Any, s: Any, x: Any) -> Any:
    g.call_method("add_", (x, 1))
    return (g.call_function(operator.mul, (x, 2)),)


def _effect_only(g: Any, s: Any, x: Any) -> Any:
    g.call_method("mul_", (x, 3))
    return ()


BODIES: dict[str, Callable[..., Any]] = {
    "bare": lambda g, s, x: g.call_function(operator.mul, (x, 2)),
    "one": lambda g, s, x: (g.call_function(operator.mul, (x, 2)),),
    "one-of-several-rows": lambda g, s, x: (g.call_method("sum", (x,), {"dim": 1}),),
    "pair": pair,
    "three": lambda g, s, x: (*pair(g, s, x), g.call_function(torch.neg, (x,))),
    "with-none": lambda g, s, x: (None, g.call_function(torch.neg, (x,)), None),
    "with-size": lambda g, s, x: (g.call_function(torch.neg, (x,)), s),
    "same-twice": lambda g, s, x: (n := g.call_function(torch.neg, (x,)), n),
    "updates-input": _updates,
    "effect-only": _effect_only,
    "view": lambda g, s, x: (g.call_method("t", (g.call_function(torch.neg, (x,)),)),),
}


def compilers(subject: Subject) -> list[str]:
    """The compilers that a test without a C++ compiler can ask for."""
    return ["eager"] if subject.can("eager") else ["own"]


def compiler(subject: Subject, folder: Path, kind: str = "", **changes: Any) -> Compiler:
    """A fresh compiler with its artifacts in ``folder``; ``changes`` are to Options."""
    options = Options(compiler=kind or compilers(subject)[0], **changes)
    return subject.compiler(options).open(folder)


def rule_for(case: PieceCase, kind: str, rows: int = ROWS) -> Rule:
    """Exact for what runs op by op, else near a float64 run."""
    if kind == "eager":
        return EXACT
    double = [each.double() if isinstance(each, torch.Tensor) else each for each in case.args(rows)]
    with torch.no_grad():
        return Near(observe(case.gm, double))


def compile_and_check(subject: Subject, folder: Path, name: str, kind: str) -> None:
    """Compile the piece ``name`` for a range and check it at three sizes."""
    case = piece(BODIES[name])
    with torch.no_grad(), tracing(case):
        runnable, _ = compiler(subject, folder, kind).compile(case.gm, case.traced, RANGE)
    for rows in (ROWS, 2, 31):
        case.check(runnable, rows, rule_for(case, kind, rows))
