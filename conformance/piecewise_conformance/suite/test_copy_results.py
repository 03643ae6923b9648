"""COPY: what comes of a call: results, and inputs that nobody wrote."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from piecewise_conformance.core.boundary import expect_refusal, may_refuse
from piecewise_conformance.core.marks import requirement
from piecewise_conformance.core.verdict import Violation
from piecewise_conformance.subject.subject import Subject
from piecewise_conformance.testkit.oracle import describe
from piecewise_conformance.testkit.static_buffers import Seen, buffers, refusal, rows, same
from torch.utils import _pytree as pytree


@requirement("COPY-008")
def test_inputs_are_left_alone(subject: Subject) -> None:
    """What the callable only reads is not changed, by this call or by the next one."""
    call = subject.copy_and_call([0], [None], lambda x: x.sum())
    first, second = rows(8, 1), rows(8, 2)
    before = first.clone()
    call(first)
    call(second)
    if not torch.equal(first, before):
        raise Violation("an input that was read", expected=describe(before), got=describe(first))


@requirement("COPY-008")
@pytest.mark.parametrize("result", [None, 3, (), ("a", 1), [None]])
def test_result_is_returned(subject: Subject, result: Any) -> None:
    """The result comes back as it is."""
    got = subject.copy_and_call([0], [None], lambda x: result)(rows(2))
    if type(got) is not type(result) or got != result:
        raise Violation("the result", expected=repr(result), got=repr(got))


@requirement("COPY-008")
def test_result_tensors(subject: Subject) -> None:
    """Tensors that the callable made are returned, and later calls do not change them."""
    call = subject.copy_and_call([0], [None], lambda x: (x * 2, x + 1))
    first = rows(8, 1)
    twice, more = call(first)
    call(rows(8, 2))
    if not torch.equal(twice, first * 2) or not torch.equal(more, first + 1):
        raise Violation("the result of the first call after a second")


def _nested(x: torch.Tensor) -> Any:
    return {"rows": [x[1:], x.view(-1)[2:6]], "all": (x,)}


@requirement("COPY-009")
@pytest.mark.parametrize(
    "result",
    [
        lambda x: x,
        lambda x: (x[1:], x.sum()),
        lambda x: (x.sum(), x[1:]),
        _nested,
        lambda x: x.view(torch.int32)[1:],
        lambda x: [torch.view_as_complex(x.view(-1, 2)).conj(), x.view(torch.int16)],
    ],
    ids=["itself", "first", "last", "nested", "as-integers", "as-complex-numbers"],
)
def test_results_that_lie_in_an_input(subject: Subject, result: Callable[..., Any]) -> None:
    """An input, a part of it, parts inside of containers: right at once, and after another call."""
    call = subject.copy_and_call([0], [None], result)
    whole = rows(9, 1)
    given = whole[1:]  # not at the beginning of its memory
    expected = pytree.tree_map(torch.clone, result(given))
    got = None
    with may_refuse(True):
        got = call(given)
    if got is None:
        return
    for when in ("of a call", "of a call after another one"):
        pairs = zip(pytree.tree_leaves(expected), pytree.tree_leaves(got), strict=True)
        for want, have in pairs:
            if not same(want, have):
                raise Violation(
                    f"a result {when} that shares memory with an input",
                    expected=describe(want),
                    got=describe(have),
                )
        call(rows(8, 2))


@requirement("COPY-010")
@pytest.mark.parametrize("more", [-1, 1])
def test_a_buffer_for_each_index(subject: Subject, more: int) -> None:
    """One buffer too few or too many is told, at the latest by the first call."""
    given = [None] * (2 + more)
    with expect_refusal(f"{len(given)} buffers for 2 indices"):
        subject.copy_and_call([0, 1], given, Seen())(rows(4), rows(4, 1))


@requirement("COPY-013")
@pytest.mark.parametrize("kind", ["lazy", "given"])
@pytest.mark.parametrize("given", [None, 3, 2.5, "text"], ids=repr)
def test_argument_that_is_not_a_tensor(subject: Subject, kind: str, given: object) -> None:
    """It is refused or passed on, in the first call and after one with tensors."""
    seen = Seen()
    call = subject.copy_and_call([0, 1], buffers(kind, 8, 8), seen)
    for number in (1, 2):
        for args in ((rows(4, number), given), (given, rows(4, number))):
            if refusal(call, *args) is None and not _equal(args, seen.copies[-1]):
                raise Violation(
                    f"the argument that the callable receives for {given!r}",
                    expected=f"a refusal, or {given!r}",
                    got=repr(seen.copies[-1]),
                )
        call(rows(4, number), rows(6, number))


def _equal(one: tuple[object, ...], other: tuple[object, ...]) -> bool:
    return all(
        same(a, b) if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor) else a is b
        for a, b in zip(one, other, strict=True)
    )
