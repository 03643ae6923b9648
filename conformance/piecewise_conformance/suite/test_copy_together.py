"""COPY: inputs that meet in one buffer, and calls that overlap."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import torch
from piecewise_conformance.core.boundary import may_refuse
from piecewise_conformance.core.marks import requirement
from piecewise_conformance.core.verdict import Violation
from piecewise_conformance.subject.subject import Subject
from piecewise_conformance.testkit.oracle import describe
from piecewise_conformance.testkit.static_buffers import WIDTH, Seen, rows, same

OVERLAPS: dict[str, Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]] = {
    "one buffer": lambda block: (block[:8], block[:8]),
    "one memory": lambda block: (block[:8], block[:8].view(8, WIDTH)),
    "by half": lambda block: (block[4:12], block[:8]),
    "by one row": lambda block: (block[:8], block[7:15]),
    "side by side": lambda block: (block[:8], block[8:16]),
}


@requirement("COPY-014")
@pytest.mark.parametrize("name", OVERLAPS)
def test_buffers_that_overlap(subject: Subject, name: str) -> None:
    """Two inputs in buffers that overlap are seen as they were passed, or the buffers are refused;
    buffers that lie side by side in one block are two.
    """
    seen, args = Seen(), (rows(8, 1), rows(8, 2))
    given = OVERLAPS[name](torch.zeros(16, WIDTH))
    with may_refuse(name != "side by side"):
        subject.copy_and_call([0, 1], list(given), seen)(*args)
    for want, have in zip(args, seen.copies[0] if seen.copies else (), strict=False):
        if not isinstance(have, torch.Tensor) or not same(want, have):
            raise Violation(
                f"an input whose buffer overlaps another one, {name}",
                expected=describe(want),
                got=describe(have),
            )


def _expect(call: Callable[..., Any], seed: int, what: str, count: int = 8) -> None:
    given = rows(count, seed)
    before, expected = given.clone(), given * 2
    got = call(given)
    for want, have in ((expected, got), (before, given)):
        if not isinstance(have, torch.Tensor) or not same(want, have):
            raise Violation(what, expected=describe(want), got=describe(have))


class _Nesting:
    """Doubles its input, after ``meanwhile``, which is to be done once in the middle of a call."""

    def __init__(self) -> None:
        self.meanwhile: Callable[[], None] | None = None

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Call it."""
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        return x * 2


def _in_a_thread(function: Callable[[], None]) -> None:
    raised: list[BaseException] = []

    def run() -> None:
        try:
            function()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if raised:
        raise raised[0]


threads = pytest.mark.parametrize("in_a_thread", [False, True], ids=["inside", "in-a-thread"])


@requirement("COPY-012")
@threads
@pytest.mark.parametrize("count", [8, 3])
@pytest.mark.parametrize("goes_on", [False, True])
def test_calls_overlap(subject: Subject, goes_on: bool, count: int, in_a_thread: bool) -> None:
    """A callable that calls its wrapper: each call is right or refused. Later calls are right."""
    function = _Nesting()
    call = subject.copy_and_call([0], [None], function)
    _expect(call, 1, "before calls that overlap")

    def inner() -> None:
        _expect(call, 2, "the inner of two calls that overlap", count)

    def meanwhile() -> None:
        with may_refuse(goes_on):
            _in_a_thread(inner) if in_a_thread else inner()

    function.meanwhile = meanwhile
    with may_refuse(True):
        _expect(call, 3, "the outer of two calls that overlap")
    for seed in (4, 5):
        _expect(call, seed, "after calls that overlap")


@requirement("COPY-012")
def test_wrappers_overlap(subject: Subject) -> None:
    """Two wrappers, one called inside of the other, have each its own inputs, or are refused."""
    function = _Nesting()
    outer = subject.copy_and_call([0], [None], function)
    inner = subject.copy_and_call([0], [None], lambda x: x * 2)
    for seed in (1, 3):
        function.meanwhile = lambda seed=seed: _expect(inner, seed + 1, "the inner of two wrappers")
        with may_refuse(True):
            _expect(outer, seed, "the outer of two wrappers")


@requirement("COPY-015")
def test_after_a_call_that_raised(subject: Subject) -> None:
    """An error of the callable ends its call: the next one is right."""
    function = _Nesting()
    call = subject.copy_and_call([0], [None], function)

    def fail() -> None:
        raise LookupError("in the middle of a call")

    for seed in (1, 3):
        function.meanwhile = fail
        with suppress(Exception):
            call(rows(8, seed))
        _expect(call, seed + 1, "after a call that raised")


class _Plain(torch.Tensor):
    """A tensor with a class of its own."""


@requirement("COPY-002")
@pytest.mark.parametrize("kind", ["parameter", "subclass"])
def test_other_classes_are_copied(subject: Subject, kind: str) -> None:
    """A Parameter, or a tensor of another class, lies where others lie, or is refused."""
    seen = Seen()
    call = subject.copy_and_call([0], [None], seen)
    plain, kept = rows(8), []
    call(plain)
    for seed in (1, 2):
        made = rows(8, seed)
        given = (
            torch.nn.Parameter(made, requires_grad=False)
            if kind == "parameter"
            else made.as_subclass(_Plain)
        )
        kept.append(given)
        with may_refuse(True):
            call(given)
    call(plain)
    if len(set(seen.addresses)) != 1:
        raise Violation(f"addresses of a {kind}", expected="one", got=str(seen.addresses))
