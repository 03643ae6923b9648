"""INTERP: models that share a process, what a compile that fails leaves behind, and numbers that
models are given.
"""

from __future__ import annotations

import gc
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from piecewise_conformance.core.boundary import expect_refusal, inside_subject, may_refuse
from piecewise_conformance.core.marks import requirement
from piecewise_conformance.core.verdict import Violation
from piecewise_conformance.subject.subject import Subject
from piecewise_conformance.testkit import serialized, spy
from piecewise_conformance.testkit.caches import warm_start
from piecewise_conformance.testkit.drive import Driven, drive
from piecewise_conformance.testkit.graph_capture import mark_dynamic
from piecewise_conformance.testkit.oracle import describe
from piecewise_fixtures.programs import Program, program


@cache
def _scaling(factor: float) -> Program:
    """Models of one text, whose only difference is a constant in each piece."""

    class Scaling(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.factor = factor

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.ops.piecewise.scaled(x * self.factor) + self.factor

    base = program("linear-chain")
    name = f"scaling-by-{factor}"
    return Program(
        name, "", Scaling, base.inputs, base.splitting_ops, base.sizes, base.dynamic, frozenset()
    )


def _serve(models: Sequence[Driven], size: int) -> None:
    """Each model in turn gets a batch of ``size``: its own result, by an artifact for that size."""
    for model in models:
        with spy.spying() as log:
            model.check(size)
        if not log.runs or not all(start <= size <= end for start, end in log.runs):
            raise Violation(
                f"the artifacts that served {size} tokens in {model.program.name}",
                expected=f"compiled ones, for ranges that hold {size}",
                got=str(log.runs),
            )


@requirement("INTERP-009")
def test_models_side_by_side(subject: Subject) -> None:
    """Three models, two of one text, take turns while their ranges come into use one by one."""
    models = [
        drive(subject, _scaling(2.0), compiler=spy.NAME, compile_ranges_endpoints=(5,)),
        drive(subject, _scaling(3.0), compiler=spy.NAME, compile_ranges_endpoints=(5,)),
        drive(subject, program("linear-chain"), compiler=spy.NAME, compile_ranges_endpoints=(3,)),
    ]
    for size in (6, 4, 2, 6, 9):
        _serve(models, size)


@requirement("INTERP-009")
def test_one_model_in_two_configurations(subject: Subject) -> None:
    """One model compiled with other ranges beside itself: each keeps to its own."""
    models = [
        drive(subject, _scaling(2.0), compiler=spy.NAME, **changes)
        for changes in (
            {"compile_ranges_endpoints": (5,)},
            {"compile_ranges_endpoints": (2, 3), "compile_sizes": (6,)},
            {"max_num_batched_tokens": 9},
        )
    ]
    for size in (4, 6, 9, 3, 6):
        _serve(models, size)
    with expect_refusal("a batch of 10 tokens where 9 is the maximum"):
        models[2].check(10)


@requirement("INTERP-009")
def test_the_other_model_is_gone(subject: Subject) -> None:
    """A model outlives one that was compiled after it, and goes on to compile."""
    first = drive(subject, _scaling(2.0), compiler=spy.NAME, compile_ranges_endpoints=(5,))
    second = drive(subject, _scaling(3.0), compiler=spy.NAME, compile_ranges_endpoints=(5,))
    _serve([first, second], 6)
    del second
    gc.collect()
    _serve([first], 4)
    _serve([first], 6)


@requirement("INTERP-010")
@pytest.mark.parametrize("before", [(), (6,)], ids=["first-call", "next-range"])
def test_failed_compile(subject: Subject, before: tuple[int, ...]) -> None:
    """The error comes out of the call that needed the compile; later calls run compiled pieces."""
    healthy, model = [
        drive(subject, _scaling(2.0), compiler=spy.NAME, compile_ranges_endpoints=(5,))
        for _ in range(2)
    ]
    for size in before:
        _serve([model], size)
    with spy.spying() as log:
        log.fail = True
        failed = True
        with may_refuse(True):
            model.got(model.program.inputs(4))
            failed = False
    if log.compiles and not failed:
        raise Violation(
            "a call in which a compile failed", expected="the compiler's error", got="a result"
        )
    _same_artifacts(model, healthy, "a compile had failed")


@requirement("INTERP-010")
def test_interrupted_compile(subject: Subject) -> None:
    """So too for Ctrl-C in a compile, which is no error of the call: it comes out as it is."""
    healthy, model = [
        drive(subject, _scaling(2.0), compiler=spy.NAME, compile_ranges_endpoints=(5,))
        for _ in range(2)
    ]
    _serve([model], 6)
    came = False
    with spy.spying() as log:
        log.interrupt = True
        try:
            model.got(model.program.inputs(4))
        except KeyboardInterrupt:
            came = True
    if log.compiles and not came:
        raise Violation(
            "a call in which a compile was interrupted",
            expected="KeyboardInterrupt",
            got="a result",
        )
    _same_artifacts(model, healthy, "a compile had been interrupted")


def _same_artifacts(model: Driven, healthy: Driven, after: str) -> None:
    """Both are right, and served by artifacts of the same ranges."""
    for size in (4, 6, 4):
        ran = []
        for each in (model, healthy):
            with spy.spying() as log:
                each.check(size)
            ran.append(log.runs)
        if ran[0] != ran[1]:
            raise Violation(
                f"artifacts that ran for {size} tokens, once {after}",
                expected=str(ran[1]),
                got=str(ran[0]),
            )


_failing: list[type[BaseException]] = []
_called: list[bool] = []


@torch.library.custom_op("piecewise_suite::may_fail", mutates_args=())
def may_fail(x: torch.Tensor) -> torch.Tensor:
    """An op that fails when it is told to."""
    _called.append(True)
    if _failing:
        raise _failing[0]("the op was told to fail")
    return x + 1


@may_fail.register_fake
def _(x: torch.Tensor) -> torch.Tensor:
    return torch.empty_like(x)


class _MayFail(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> Any:
        y = torch.ops.piecewise.scaled(x * 2)
        x.add_(1)
        return torch.ops.piecewise_suite.may_fail(y) * 3


ERRORS = [
    RuntimeError,
    torch.OutOfMemoryError,
    MemoryError,
    AssertionError,
    NotImplementedError,
]


@requirement("STITCH-005")
@pytest.mark.parametrize("splitting", [False, True], ids=["in-a-piece", "as-splitting-op"])
def test_failed_call(subject: Subject, splitting: bool) -> None:
    """An op that raises is called once, its error comes out, whatever its class, and the calls
    after it are right. What the model writes before it is not written twice.
    """
    base = program("linear-chain")
    ops = ("piecewise::scaled", "piecewise_suite::may_fail")[: 1 + splitting]
    chosen = Program(
        "may-fail", "", _MayFail, base.inputs, ops, base.sizes, base.dynamic, frozenset()
    )
    model = drive(subject, chosen)
    model.check(6)
    for kind in ERRORS:
        _fail_once(model, kind)
        for size in (6, 4):
            model.check(size)


def _fail_once(model: Driven, kind: type[BaseException]) -> None:
    args = model.program.inputs(6)
    mark_dynamic(model.program, args)
    before, after = args[0].clone(), args[0] + 1
    _called.clear()
    _failing.append(kind)
    try:
        with (
            expect_refusal("a call in which an op raises", "the op was told to fail"),
            inside_subject("the compiled model"),
            torch.no_grad(),
        ):
            model.compiled(*args)
    finally:
        _failing.clear()
    if len(_called) != 1:
        raise Violation(
            f"calls of an op that raises {kind.__name__}, in one call of the model",
            expected="1",
            got=str(len(_called)),
        )
    # not at all if a compiler puts off writing inputs until the end of its piece
    if not torch.equal(args[0], after) and not torch.equal(args[0], before):
        raise Violation(
            f"the state that the model wrote before an op raised {kind.__name__}",
            expected=describe(after),
            got=describe(args[0]),
        )


class _NumberFirst(torch.nn.Module):
    def forward(self, k: int, x: torch.Tensor) -> Any:
        return torch.arange(k), torch.ops.piecewise.scaled(x * 2) + 1


@requirement("INTERP-006")
def test_dispatch_beside_a_number(subject: Subject) -> None:
    """A number that the model is given, and uses first, is no batch size, whatever it is."""
    base = program("linear-chain")
    chosen = Program(
        "number-first",
        "",
        _NumberFirst,
        lambda n: (3, *base.inputs(n)),
        base.splitting_ops,
        base.sizes,
        ((1, 0),),
        frozenset(),
    )
    driven = drive(subject, chosen, compiler=spy.NAME, compile_ranges_endpoints=(5,))
    for number, size in ((3, 6), (7, 4), (50, 4), (2, 9), (90, 9)):
        with spy.spying() as log:
            driven.check_with((number, *base.inputs(size)), f"for {size} tokens and {number}")
        for start, end in log.runs:
            if not start <= size <= end:
                raise Violation(
                    f"a batch of {size} tokens, with the number {number}, was served by the "
                    f"artifact of ({start}, {end})",
                    program=chosen.source(),
                )


@requirement("INTERP-012")
@pytest.mark.parametrize("way", ["called", "started-again", "serialized"])
def test_a_compiler_that_rewrites_its_graph(subject: Subject, tmp_path: Path, way: str) -> None:
    """It rewrites the graph in place once it has compiled it. Later ranges are compiled from what
    was captured, a second start hits the cache, and a serialized function is that of the model.
    """
    changes: dict[str, Any] = {"compiler": spy.NAME, "compile_ranges_endpoints": (5, 8)}
    with spy.spying() as log:
        log.rewrites = True
        if way == "serialized":
            asked = serialized.options(subject, "linear-chain", **changes)
            _, function = serialized.compiled(subject, "linear-chain", **changes)
            data = serialized.to_bytes(subject, function, asked)
            loaded = serialized.from_bytes(subject, data, asked)
            serialized.check_function(subject, loaded, "linear-chain", asked)
            return
        root = {"cache_root": str(tmp_path)} if way == "started-again" else {}
        model = drive(subject, program("linear-chain"), **changes, **root)
        for size in (6, 4, 9, 6):
            model.check(size)
    if way == "started-again":
        warm_start.expect_warm(
            warm_start.start(subject, tmp_path, sizes=(6, 4, 9), compile_ranges_endpoints=(5, 8)),
            "a second start, after one whose compiler rewrote its graphs",
        )
