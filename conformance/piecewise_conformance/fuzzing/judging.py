"""Judge one program: what it fails, and the shortest program that fails the same."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from piecewise_fixtures.forward_context import set_forward_context
from piecewise_fixtures.generated import SIZES, Program, Space, as_program, forget
from piecewise_fixtures.generated.build import Generated
from piecewise_fixtures.generated.reducing import reduce

from ..core.outcome import Outcome, outcome_of
from ..core.verdict import Status
from ..isolation.isolation import torch_settled
from ..subject.subject import Subject
from ..testkit.capture_cache import recorded, reuse, reusing
from ..testkit.drive import expected
from ..testkit.generated.checks import order, ranges_of
from ..testkit.generated.programs import CONTEXT, Drawn
from ..testkit.graph_capture import given, mark_dynamic
from .properties import DIRECT, Property

# why a program is thrown away
DOES_NOT_RUN, NOT_CAPTURED = "does not run", "is not captured as one graph"


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


@dataclass(frozen=True)
class Judged:
    """What came of a property for a program."""

    asked: Property
    outcome: Outcome

    @property
    def failed(self) -> bool:
        """Whether the subject broke it."""
        return self.outcome.status is Status.FAIL


def judge(
    subject: Subject,
    program: Program | Drawn,
    properties: Iterable[Property],
    space: Space | None = None,
    begin: Callable[[Property], None] = lambda each: None,
) -> list[Judged]:
    """``properties`` of ``program``, those of graphs on its graph, the others by Dynamo."""
    drawn = program if isinstance(program, Drawn) else Drawn(program, space)
    found = []
    try:
        for each in properties:
            begin(each)
            found.append(Judged(each, outcome(subject, drawn, each)))
    finally:
        if drawn is not program:
            drawn.forget()
    return found


def outcome(subject: Subject, drawn: Drawn, asked: Property) -> Outcome:
    """What came of one property. A program that cannot be built raises."""
    with set_forward_context(CONTEXT), torch.no_grad(), torch_settled():
        if asked.capture != DIRECT:
            built = drawn.built
            return _outcome(lambda: asked.check(subject, built))
        with given(drawn.graph) as name:
            return _outcome(lambda: asked.check(subject, name))


def prepare(drawn: Drawn, capture: str) -> str:
    """Make of ``drawn`` what all subjects are judged with.

    Empty, or why nobody is judged with it: it does not run as it is, or is not captured as one
    graph.
    """
    try:
        with set_forward_context(CONTEXT), torch.no_grad():
            if capture == DIRECT:
                for size in drawn.graph.args:
                    expected(drawn.graph, size)
            else:
                _, _, more = ranges_of(drawn.built)
                _capture(drawn.built, sorted({*order(drawn.built), *more}, reverse=True))
    except torch._dynamo.exc.Unsupported:
        return NOT_CAPTURED
    except Exception:  # whatever torch says to an op that is not one
        return DOES_NOT_RUN
    return ""


def _capture(program: Generated, sizes: list[int]) -> None:
    """Call what Dynamo makes of ``program``; raises where that cannot be had for all ``sizes``."""
    _, call = recorded(program).use(lambda gm, example_inputs: gm.forward)
    for size in sizes:
        args = program.inputs(size)
        mark_dynamic(program, args)
        call(*args)


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
        drawn = Drawn(candidate)
        try:
            if reusing() and prepare(drawn, property.capture):
                return False
            (judged,) = judge(subject, drawn, [property], begin=begin)
        except Exception:  # it cannot be built: no program
            return False
        finally:
            drawn.forget()
        if judged.failed and _raised(judged.outcome) == raised:
            best = judged.outcome
            return True
        return False

    return reduce(program, shows, budget), best


def _raised(outcome: Outcome) -> bool:
    return outcome.message.startswith("the subject raised")
