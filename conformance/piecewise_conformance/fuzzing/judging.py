"""Judge one program: what it fails, and the shortest program that fails the same."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import torch
from piecewise_fixtures.forward_context import ForwardContext, set_forward_context
from piecewise_fixtures.generated import (
    SIZES,
    Program,
    Space,
    as_program,
    build_graph,
    forget,
    graph_arguments,
)
from piecewise_fixtures.generated.reducing import reduce

from ..capture import Captured, given
from ..outcome import Outcome, outcome_of
from ..subject import Subject
from ..verdict import Status
from .properties import DIRECT, Property

# Every batch is one sequence of one token and padding: attention's context fits every size.
CONTEXT = ForwardContext((1,))


@dataclass(frozen=True)
class Judged:
    """What came of a property for a program."""

    asked: Property
    outcome: Outcome

    @property
    def failed(self) -> bool:
        """Whether the subject broke it."""
        return self.outcome.status is Status.FAIL


def as_graph(program: Program, space: Space | None = None) -> Captured:
    """The graph of ``program``, with its arguments for every size."""
    name = "drawn:" + hashlib.sha256(program.to_json().encode()).hexdigest()[:16]
    args = {size: list(graph_arguments(program, size)) for size in SIZES}
    gm = build_graph(program, space)
    return Captured(name, gm, program.splitting_ops, list(args[SIZES[0]]), args)


def judge(
    subject: Subject,
    program: Program,
    properties: Iterable[Property],
    space: Space | None = None,
    begin: Callable[[Property], None] = lambda each: None,
) -> list[Judged]:
    """``properties`` of ``program``, those of graphs on its graph, the others by Dynamo."""
    found = []
    graph: Captured | None = None
    for each in properties:
        begin(each)
        with set_forward_context(CONTEXT), torch.no_grad():
            if each.capture == DIRECT:
                graph = graph or as_graph(program, space)
                found.append(Judged(each, _outcome_of_graph(subject, graph, each)))
            else:
                found.append(Judged(each, _outcome(partial(each.check, subject, program))))
    return found


def _outcome_of_graph(subject: Subject, graph: Captured, each: Property) -> Outcome:
    with given(graph) as name:
        return _outcome(lambda: each.check(subject, name))


def _outcome(check: Callable[[], None]) -> Outcome:
    try:
        check()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return outcome_of(error)
    return Outcome(Status.PASS)


def runs(program: Program) -> bool:
    """Whether ``program`` itself runs, for every size."""
    try:
        built = as_program(program)
        try:
            module = built.build()
            with set_forward_context(CONTEXT), torch.no_grad():
                for size in SIZES:
                    module(*built.inputs(size))
        finally:
            forget(built.module)
    except Exception:
        return False
    return True


def shortest(
    subject: Subject,
    program: Program,
    property: Property,
    budget: int = 400,
    begin: Callable[[Property], None] = lambda each: None,
) -> tuple[Program, Outcome]:
    """The shortest program found that fails ``property`` as ``program`` does, and how it does.

    That is: by a violation where ``program`` has one, by an exception where that has one.
    """
    best = judge(subject, program, [property], begin=begin)[0].outcome
    raised = _raised(best)

    def shows(candidate: Program) -> bool:
        nonlocal best
        if not runs(candidate):
            return False
        try:
            (judged,) = judge(subject, candidate, [property], begin=begin)
        except Exception:  # it cannot be built: no program
            return False
        if judged.failed and _raised(judged.outcome) == raised:
            best = judged.outcome
            return True
        return False

    return reduce(program, shows, budget), best


def _raised(outcome: Outcome) -> bool:
    return outcome.message.startswith("the subject raised")
