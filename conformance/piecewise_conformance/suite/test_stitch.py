"""STITCH: the compiled model, beside the model."""

from __future__ import annotations

import dataclasses
import gc
from collections.abc import Callable
from typing import Any

import pytest
import torch
from piecewise_conformance.core.boundary import may_refuse
from piecewise_conformance.core.marks import requirement
from piecewise_conformance.core.verdict import Violation
from piecewise_conformance.subject.subject import Subject
from piecewise_conformance.testkit.drive import drive, other_values
from piecewise_conformance.testkit.oracle import describe
from piecewise_fixtures.programs import Program, program
from torch.multiprocessing.reductions import StorageWeakRef

OUTPUTS = [
    "duplicate-outputs",
    "input-returned",
    "input-view-returned",
    "view-and-base-returned",
    "nested-outputs",
    "one-tuple",
    "no-tensor-output",
    "parameter-returned",
    "strided-outputs",
    "constant-output",
    "effects-only",
    "topk-across-op",
    "outputs-out-of-order",
]
copied = pytest.mark.parametrize("copy_inputs", [False, True], ids=["direct", "copied-inputs"])


@requirement("STITCH-001")
@pytest.mark.parametrize("name", OUTPUTS)
def test_outputs(subject: Subject, name: str) -> None:
    """Structure, values, strides and aliasing of everything that is returned."""
    driven = drive(subject, program(name))
    for size in program(name).sizes:
        driven.check(size)


def _sizes(chosen: Program, copy_inputs: bool) -> list[int]:
    """The sizes of ``chosen``, the first of them twice.

    For copied inputs the largest comes first: a wrapper may refuse more than it has room for.
    """
    sizes = sorted(chosen.sizes, reverse=True) if copy_inputs else list(chosen.sizes)
    return [*sizes, sizes[0]]


WRITES = [
    "input-updated-around-op",
    "input-updated-by-op",
    "buffer-updated",
    "cache-updated",
    "view-updated-across-op",
    "notes-in-pieces",
    "notes-as-splitting-ops",
]


@requirement("STITCH-002")
@pytest.mark.parametrize("name", WRITES)
@copied
def test_writes(subject: Subject, name: str, copy_inputs: bool) -> None:
    """Inputs and buffers after each of several calls; copied inputs may refuse to be written."""
    driven = drive(subject, program(name), copy_inputs=copy_inputs)
    for size in _sizes(program(name), copy_inputs):
        with may_refuse(copy_inputs):
            driven.check(size)


@requirement("STITCH-003")
@pytest.mark.parametrize(
    "name", ["linear-chain", "input-view-returned", "two-layers", "lone-empty"]
)
@copied
def test_earlier_results_stay(subject: Subject, name: str, copy_inputs: bool) -> None:
    """The outputs of a call, kept, are the same after further calls, of the same size too."""
    chosen = program(name)
    driven = drive(subject, chosen, copy_inputs=copy_inputs)
    kept = []
    # of each size two batches, with other numbers: memory may be kept by size
    batches = [(size, chosen.inputs(size)) for size in _sizes(chosen, copy_inputs)]
    batches += [(size, tuple(other_values(args))) for size, args in batches[:2]]
    for size, args in batches:
        outputs = driven.got(args).outputs
        flat = [each for each in torch.utils._pytree.tree_leaves(outputs) if _is_tensor(each)]
        kept.append((size, flat, [each.clone() for each in flat]))
    for size, tensors, before in kept:
        for tensor, value in zip(tensors, before, strict=True):
            if not torch.equal(tensor, value):
                raise Violation(
                    f"the result for {size} tokens after later calls",
                    expected=describe(value),
                    got=describe(tensor),
                )


def _is_tensor(value: Any) -> bool:
    return isinstance(value, torch.Tensor)


_results: list[StorageWeakRef] = []
_arguments: list[StorageWeakRef] = []
_alive: list[tuple[int, int]] = []
_thorough: list[bool] = []  # not empty: collect cycles before counting, which is slow


@torch.library.custom_op("piecewise_suite::watch", mutates_args=())
def watch(x: torch.Tensor) -> torch.Tensor:
    """A splitting op that counts how many of its earlier results and arguments are still alive."""
    _count()
    result = x + 1
    for held, each in ((_results, result), (_arguments, x)):
        held.append(StorageWeakRef(each.untyped_storage()))
    return result


def _count() -> None:
    if _thorough:
        gc.collect()
    results, arguments = (sum(not ref.expired() for ref in held) for held in (_results, _arguments))
    _alive.append((results, arguments))


@watch.register_fake
def _(x: torch.Tensor) -> torch.Tensor:
    return torch.empty_like(x)


class _Chain(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for _ in range(6):
            x = torch.ops.piecewise_suite.watch(x) * 2
        return x


def _watched_chain() -> Program:
    base = program("linear-chain")
    return Program(
        "watched-chain",
        "",
        _Chain,
        base.inputs,
        ("piecewise_suite::watch",),
        base.sizes,
        base.dynamic,
        frozenset(),
    )


@requirement("STITCH-004")
def test_values_are_released(subject: Subject) -> None:
    """In a chain of six splitting ops no more of their results are alive than uncompiled, plus
    one, nor of what they are given, which the pieces before them return; nor after the call.
    """
    chain = _watched_chain()
    driven = drive(subject, chain)
    driven.check(6)
    plain, compiled = _most_alive(driven.expected, chain), _most_alive(driven.got, chain)
    if _more(compiled, plain):  # it may be garbage in a cycle, which is not kept
        _thorough.append(True)
        try:
            compiled = _most_alive(driven.got, chain)
        finally:
            _thorough.clear()
    for what, allowed, got in zip(("results", "arguments"), plain, compiled, strict=True):
        if got > allowed + 1:
            raise Violation(
                f"{what} of earlier splitting ops still alive in a later one, or after the call",
                expected=f"at most {allowed + 1}",
                got=str(got),
            )


@requirement("STITCH-004")
@pytest.mark.parametrize("sizes", [(), (6,)], ids=["range", "single-size"])
def test_first_call_is_released(subject: Subject, sizes: tuple[int, ...]) -> None:
    """What the first call was given and computed is gone once batches of other sizes were served:
    pieces keep nothing of the call that they were compiled for.
    """
    driven = drive(subject, _watched_chain(), compile_sizes=sizes)
    _results.clear()
    _arguments.clear()
    driven.got(driven.program.inputs(6))
    first = [*_results, *_arguments]
    for size in (4, 9):
        driven.got(driven.program.inputs(size))
    gc.collect()
    if alive := sum(not each.expired() for each in first):
        raise Violation(
            "tensors of the first call, once batches of other sizes were served",
            expected="none is kept alive",
            got=f"{alive} are",
        )


@torch.library.custom_op("piecewise_suite::some_rows", mutates_args=())
def some_rows(x: torch.Tensor) -> torch.Tensor:
    """A splitting op whose number of rows only the data tell; its results are counted, too."""
    _count()
    result = x[: 1 + int(x[0, 0] > 0)].clone()
    _results.append(StorageWeakRef(result.untyped_storage()))
    return result


@some_rows.register_fake
def _(x: torch.Tensor) -> torch.Tensor:
    rows = torch.library.get_ctx().new_dynamic_size()
    return x.new_empty(rows, x.shape[1])


class _Sizes(torch.nn.Module):
    """Of the results of six splitting ops only their numbers of rows are used again."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        counted = []
        for _ in range(6):
            rows = torch.ops.piecewise_suite.some_rows(x)
            counted.append(torch.arange(rows.shape[0]))
        x = torch.ops.piecewise_suite.some_rows(x)
        return x, *(each * 2 for each in counted)


@requirement("STITCH-010")
def test_tensors_of_which_only_the_size_is_used(subject: Subject) -> None:
    """What depends on a number of rows outlives the rows, which are gone as they are uncompiled."""
    chain = dataclasses.replace(
        _watched_chain(),
        name="sizes-of-results",
        module=_Sizes,
        splitting_ops=("piecewise_suite::some_rows",),
    )
    with torch._dynamo.config.patch(capture_dynamic_output_shape_ops=True):
        driven = drive(subject, chain)
        driven.check(6)
        plain, compiled = _most_alive(driven.expected, chain), _most_alive(driven.got, chain)
    if _more(compiled, plain):
        raise Violation(
            "(results, arguments) of earlier splitting ops alive in a later one",
            expected=f"at most {tuple(each + 1 for each in plain)}",
            got=str(compiled),
        )


def _more(compiled: tuple[int, int], plain: tuple[int, int]) -> bool:
    return any(got > allowed + 1 for got, allowed in zip(compiled, plain, strict=True))


def _most_alive(run: Callable[[Any], Any], chain: Program) -> tuple[int, int]:
    """The most results, and the most arguments, that were alive at once."""
    for each in (_results, _arguments, _alive):
        each.clear()
    run(chain.inputs(6))
    if not _alive:
        raise Violation("splitting ops that ran", expected="6", got="0")
    _count()
    results, arguments = zip(*_alive, strict=True)
    return max(results), max(arguments)
