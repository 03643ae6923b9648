"""STITCH: calls that overlap, and calls in inference mode."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
from piecewise_conformance.core.boundary import may_refuse
from piecewise_conformance.core.marks import needs, requirement, slow
from piecewise_conformance.core.verdict import Violation
from piecewise_conformance.subject.subject import Subject
from piecewise_conformance.testkit import spy
from piecewise_conformance.testkit.drive import Driven, drive
from piecewise_conformance.testkit.oracle import Observation, check
from piecewise_conformance.testkit.together import together
from piecewise_fixtures.programs import Program, program

PROGRAM = "twice: a splitting op that calls the model for other inputs, once"

_meanwhile: list[Callable[[], None]] = []


@torch.library.custom_op("piecewise_suite::pause", mutates_args=())
def pause(x: torch.Tensor) -> torch.Tensor:
    """A splitting op in which whatever is to happen meanwhile happens, once."""
    if _meanwhile:
        _meanwhile.pop()()
    return x + 1


@pause.register_fake
def _(x: torch.Tensor) -> torch.Tensor:
    return torch.empty_like(x)


class _Paused(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        doubled = x * 2
        first = torch.ops.piecewise_suite.pause(doubled)
        kept = first + doubled
        second = torch.ops.piecewise_suite.pause(first * 3)
        return second - kept, kept * x


def _paused() -> Program:
    base = program("linear-chain")
    return Program(
        "paused",
        "",
        _Paused,
        base.inputs,
        ("piecewise_suite::pause",),
        (3, 6),
        base.dynamic,
        frozenset(),
    )


def _overlap(driven: Driven, outer: int, inner: int, in_a_thread: bool) -> None:
    """Call ``driven`` for ``inner`` tokens in the first splitting op of a call for ``outer``."""
    arguments = {
        "outer": driven.program.inputs(outer),
        "inner": tuple(-each for each in driven.program.inputs(inner)),
    }
    alone = {name: driven.expected(args) for name, args in arguments.items()}
    seen: dict[str, Observation] = {}

    def run() -> None:
        seen["inner"] = driven.got(arguments["inner"])

    def run_in_a_thread() -> None:
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()

    _meanwhile.append(run_in_a_thread if in_a_thread else run)
    try:
        seen["outer"] = driven.got(arguments["outer"])
    finally:
        _meanwhile.clear()
    if "inner" not in seen:
        raise Violation(
            "a call while another call is in progress", expected="it returns", got="an error"
        )
    for name, args in arguments.items():
        rule = driven.rule(args)
        check(alone[name], seen[name], rule, program=PROGRAM, where=f"in the {name} call")


threads = pytest.mark.parametrize("in_a_thread", [False, True], ids=["inside", "in-a-thread"])


@requirement("STITCH-006")
@threads
@pytest.mark.parametrize("sizes", [(6, 3), (3, 6), (6, 6)], ids=lambda s: f"{s[0]}-{s[1]}")
def test_calls_overlap(subject: Subject, sizes: tuple[int, int], in_a_thread: bool) -> None:
    """Both calls, also when the second has another size, and when it has the same."""
    driven = drive(subject, _paused())
    for size in driven.program.sizes:
        driven.check(size)
    _overlap(driven, *sizes, in_a_thread)


@requirement("STITCH-006")
@threads
def test_calls_overlap_in_other_ranges(subject: Subject, in_a_thread: bool) -> None:
    """Each call is served by the artifacts of its own range."""
    driven = drive(subject, _paused(), compiler=spy.NAME, compile_ranges_endpoints=(5,))
    alone = []
    for size in driven.program.sizes:
        with spy.spying() as log:
            driven.check(size)
        alone += log.runs
    with spy.spying() as log:
        _overlap(driven, 6, 3, in_a_thread)
    if sorted(log.runs) != sorted(alone):
        raise Violation(
            "the ranges of the artifacts that served 6 and 3 tokens",
            expected=str(sorted(alone)),
            got=str(sorted(log.runs)),
        )


@requirement("STITCH-007")
@pytest.mark.parametrize("copy_inputs", [False, True], ids=["direct", "copied-inputs"])
@pytest.mark.parametrize(
    "name", ["two-layers", "nested-outputs", "input-view-returned", "input-updated-around-op"]
)
def test_inference_mode(subject: Subject, name: str, copy_inputs: bool) -> None:
    """A model that is compiled and called in inference mode; copied inputs may refuse writes, and
    come back as copies.
    """
    driven = drive(subject, program(name), copy_inputs=copy_inputs)
    with torch.inference_mode():
        for size in sorted(driven.program.sizes, reverse=True):
            with may_refuse(copy_inputs):
                driven.check(size, aliasing=not copy_inputs)


@requirement("STITCH-011")
@pytest.mark.parametrize("name", ["two-layers", "nested-outputs"])
def test_normal_tensors(subject: Subject, name: str) -> None:
    """Outside of inference mode the results can be written, as those of the model can."""
    driven = drive(subject, program(name))
    size = driven.program.sizes[0]
    outputs = driven.got(driven.program.inputs(size)).outputs
    for each in torch.utils._pytree.tree_leaves(outputs):
        if isinstance(each, torch.Tensor) and each.is_inference():
            raise Violation(
                "a result outside of inference mode",
                expected="a tensor that can be written",
                got="an inference tensor",
            )


_MOMENT = 0.2  # seconds that a second call gets to come to where the first one is
_LONG = 120.0  # seconds after which two calls wait for each other

uncompiled = pytest.mark.parametrize(
    "sizes", [(3, 3), (4, 3), (6, 3)], ids=["one-size", "one-range", "two-ranges"]
)


def _come_together(driven: Driven, sizes: tuple[int, int], *, compare: bool) -> spy.Log:
    """Call ``driven`` in a second thread while a compile for a first call is under way. Unless
    they are to ``compare``, the calls may fail.
    """
    calls = {"first": driven.program.inputs(sizes[0]), "second": driven.program.inputs(sizes[1])}
    calls["second"] = tuple(-each for each in calls["second"])
    seen: dict[str, Observation] = {}
    errors: list[BaseException] = []

    def run(which: str) -> None:
        with may_refuse(not compare):
            seen[which] = driven.got(calls[which])

    def run_second() -> None:
        try:
            run("second")
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run_second, daemon=True)

    def begin() -> None:
        thread.start()
        thread.join(_MOMENT)  # it may be right to wait until the compile is done

    with spy.spying() as log:
        log.meanwhile = begin
        run("first")
        if thread.ident is None:  # all had been compiled
            thread.start()
        thread.join(_LONG)
    if errors:
        raise errors[0]
    if thread.is_alive():
        raise Violation("a call while another call compiles", expected="a result", got="it hangs")
    for which, args in calls.items() if compare else ():
        where = f"in the {which} call, of two that compile"
        check(driven.expected(args), seen[which], driven.rule(args), program=PROGRAM, where=where)
    return log


def _warm(subject: Subject, **changes: Any) -> Driven:
    """A model of which the ranges up to 5 and to 10 have not been in use."""
    changes = {"compiler": spy.NAME, "compile_ranges_endpoints": (5, 10), **changes}
    driven = drive(subject, _paused(), **changes)
    driven.check(12)
    return driven


@requirement("STITCH-006")
@uncompiled
def test_second_call_while_compiling(subject: Subject, sizes: tuple[int, int]) -> None:
    """A call that comes while its range is being compiled, or another, is served by artifacts."""
    healthy, driven = _warm(subject), _warm(subject)
    alone = []
    for size in sizes:
        with spy.spying() as log:
            healthy.check(size)
        alone += log.runs
    log = _come_together(driven, sizes, compare=True)
    if sorted(log.runs) != sorted(alone):
        raise Violation(
            f"the ranges of the artifacts that served {sizes[0]} and {sizes[1]} tokens",
            expected=str(sorted(alone)),
            got=str(sorted(log.runs)),
        )


@requirement("INTERP-002")
@uncompiled
def test_compiled_once_for_two_threads(subject: Subject, sizes: tuple[int, int]) -> None:
    """What a call in another thread is compiling is not compiled a second time."""
    log = _come_together(_warm(subject), sizes, compare=False)
    places = [(call.key, str(call.graph.graph), call.range) for call in log.compiles]
    for again in {place for place in places if places.count(place) > 1}:
        raise Violation(
            f"compiles of a piece for {again[2]}, which two threads needed at once",
            expected="1",
            got=str(places.count(again)),
        )


@requirement("STITCH-006")
@slow
@needs("inductor")
def test_two_threads_with_inductor(subject: Subject) -> None:
    """Two threads come to the same ranges at once, which Inductor compiles for them."""
    driven = drive(subject, _paused(), compiler="inductor", compile_ranges_endpoints=(5, 10))
    driven.check(12)
    for sizes in ((3, 3), (6, 7)):
        together(
            [functools.partial(driven.check, size) for size in sizes], "two calls that compile"
        )
