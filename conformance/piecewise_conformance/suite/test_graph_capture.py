"""GRAPH: what a static-graph wrapper captures and replays, emulated on a CPU, real on a GPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from piecewise_conformance.marks import requirement
from piecewise_conformance.static_graphs import (
    FIRST,
    LAST,
    MIDDLE,
    Counted,
    graphs,
    kept,
    or_refused,
    same,
)
from piecewise_conformance.subject import Subject
from piecewise_conformance.verdict import Unsupported, Violation

SIZES = (8, 4, 1)
both_modes = pytest.mark.parametrize("mode", ["PIECEWISE", "FULL"])


def _calls(counted: Counted, expected: int, what: str) -> None:
    if counted.calls != expected:
        raise Violation(
            f"calls of what is wrapped {what}", expected=str(expected), got=str(counted.calls)
        )


@requirement("GRAPH-007")
@both_modes
def test_captured_once(subject: Subject, device: str, mode: str) -> None:
    """Batches of three descriptors in changing order: each runs Python in its first call only."""
    with graphs(subject, device) as here:
        counted = Counted(lambda x: x * 2)
        inputs = {size: here.tensor(size, 3) for size in SIZES}
        wrapped = here.wrap(counted, mode)
        for number, size in enumerate((*SIZES, 4, 8, 1, 1, 8)):
            before = counted.calls
            with here.batch(mode, here.descriptor(size)):
                wrapped(inputs[size])
            if number >= len(SIZES):
                _calls(counted, before, f"in call {number}, for a descriptor seen before")


def _in_place(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    x.add_(y)
    return x * 2


FUNCTIONS: dict[str, Callable[[torch.Tensor, torch.Tensor], Any]] = {
    "bare": lambda x, y: x * y + 1,
    "tuple of one": lambda x, y: (x - y,),
    "many, and none": lambda x, y: (x + y, None, [y.sin(), 3], x.sum()),
    "in place": _in_place,
    "no output": lambda x, y: _discard(x.mul_(y)),
    "views of one memory": lambda x, y: torch.split(x + y, [1, 2], dim=1),
    "uninitialised first": lambda x, y: torch.empty_like(x).copy_(y),
}


def _discard(_: Any) -> None:
    return None


@requirement("GRAPH-008")
@both_modes
@pytest.mark.parametrize("place", [FIRST, MIDDLE, LAST], ids=["first", "middle", "last"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_replay_equals_eager(
    subject: Subject, device: str, name: str, place: tuple[bool, bool, bool], mode: str
) -> None:
    """New values at the old addresses, three times: results, their structure, writes to inputs."""
    function = FUNCTIONS[name]
    with graphs(subject, device) as here:
        wrapped = here.wrap(function, mode, place)
        x, y = here.tensor(4, 3), here.tensor(4, 3, seed=1)
        with here.batch("NONE", None):
            wrapped(x, y)
        for seed in range(4):
            x.copy_(here.tensor(4, 3, seed=10 + seed))
            y.copy_(here.tensor(4, 3, seed=20 + seed))
            own = x.clone(), y.clone()
            expected = function(*own)
            with here.batch(mode, here.descriptor(4)):
                got = wrapped(x, y)
            if seed:  # the first call captures, and may launch nothing
                same(f"in replay {seed}", expected, got, [(own[0], x), (own[1], y)])


@requirement("GRAPH-009")
@both_modes
def test_a_capture_has_its_result(subject: Subject, device: str, mode: str) -> None:
    """The call that captures computes as well, and writes its input once."""
    with graphs(subject, device) as here:
        x, y = here.tensor(4, 3), here.tensor(4, 3, seed=1)
        own = x.clone(), y.clone()
        expected = _in_place(*own)
        wrapped = here.wrap(_in_place, mode)
        with here.batch(mode, here.descriptor(4), dummy=False):
            got = wrapped(x, y)
        same("in the call that captures", expected, got, [(own[0], x)])


@requirement("GRAPH-010")
@pytest.mark.parametrize("fact", ["uniform", "has_lora"])
def test_descriptors_are_apart(subject: Subject, device: str, fact: str) -> None:
    """Two batches of one size, of different kinds, each replayed with its own computation."""
    kind = {"is": False}
    with graphs(subject, device) as here:
        x = here.tensor(4, 3)
        wrapped = here.wrap(lambda x: x * 2 if kind["is"] else x + 1)
        for number in range(6):
            kind["is"] = bool(number % 2)
            x.copy_(here.tensor(4, 3, seed=number))
            expected = x * 2 if kind["is"] else x + 1
            with here.batch("PIECEWISE", here.descriptor(4, **{fact: kind["is"]})):
                got = wrapped(x)
            if number >= 2:
                same(f"for a batch with {fact}={kind['is']}", expected, got)


@requirement("GRAPH-011")
def test_nested_wrappers(subject: Subject, device: str) -> None:
    """Piece wrappers inside a wrapper of the whole: each batch is captured by the one of its mode,
    and runs through the other; modes alternate.
    """
    with graphs(subject, device) as here:
        pieces = [Counted(lambda x: x * 2), Counted(lambda x: x + 1)]
        wrapped = [here.wrap(pieces[0], place=FIRST), here.wrap(pieces[1], place=LAST)]
        between: list[int] = []
        buffer = here.tensor(4, 3)

        def model(x: torch.Tensor) -> torch.Tensor:
            y = wrapped[0](x)
            between.append(1)
            buffer.copy_(y.sin())
            return wrapped[1](buffer)

        whole = here.wrap(model, "FULL", FIRST)
        x = here.tensor(4, 3)
        seen: set[str] = set()
        for number, mode in enumerate(("NONE", "FULL", "PIECEWISE", "FULL", "PIECEWISE", "FULL")):
            x.copy_(here.tensor(4, 3, seed=number))
            expected = (x * 2).sin() + 1
            before = pieces[0].calls, pieces[1].calls, len(between)
            with here.batch(mode, here.descriptor(4)):
                got = whole(x)
            after = pieces[0].calls, pieces[1].calls, len(between)
            if mode in seen:
                # a replay of pieces runs what is between them; one of the whole runs nothing
                again = (0, 0, 1 if mode == "PIECEWISE" else 0)
                ran = tuple(b - a for a, b in zip(before, after, strict=True))
                if ran != again:
                    raise Violation(
                        f"runs of (first piece, second piece, what is between) in {mode} again",
                        expected=str(again),
                        got=str(ran),
                    )
                same(f"in mode {mode}", expected, got)
            seen.add(mode)


@requirement("GRAPH-012")
@pytest.mark.parametrize("captured_input", ["kept", "dropped"])
def test_inputs_elsewhere(subject: Subject, device: str, captured_input: str) -> None:
    """A replay for tensors at other addresses computes for those, or the call is refused."""
    with graphs(subject, device) as here:
        wrapped = here.wrap(lambda x, y: (x * 2 + y).sin())
        inputs = [here.tensor(4, 3), here.tensor(4, 3, seed=1)]
        held: list[list[torch.Tensor]] = []
        for seed in range(4):
            with here.batch("PIECEWISE", here.descriptor(4)), or_refused(seed > 0):
                got = wrapped(*inputs)
                if seed:
                    same("for inputs at another address", (inputs[0] * 2 + inputs[1]).sin(), got)
            if captured_input == "kept":
                held.append(inputs)
            got = None  # the graph's, and nobody else's
            inputs = [here.tensor(4, 3, seed=2 + seed), here.tensor(4, 3, seed=9 + seed)]


@requirement("GRAPH-013")
def test_what_lay_there(subject: Subject, device: str) -> None:
    """The tensor that was captured keeps its values when the next call has another, and a write
    to an input is found in the tensor of that call.
    """
    with graphs(subject, device) as here:
        wrapped = here.wrap(_in_place)
        first, y = here.tensor(4, 3), here.tensor(4, 3, seed=1)
        with here.batch("PIECEWISE", here.descriptor(4)):
            wrapped(first, y)
        second = here.tensor(4, 3, seed=2)
        own = first.clone(), second.clone()
        expected = _in_place(own[1], y)
        with here.batch("PIECEWISE", here.descriptor(4)), or_refused(True):
            got = kept(wrapped(second, y))
            same(
                "with an input at another address",
                expected,
                got,
                [(own[0], first), (own[1], second)],
            )
            return
        same("after a call that was refused", None, None, [(own[0], first)])


def _narrow(x: torch.Tensor) -> torch.Tensor:
    return x[:3]


KINDS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "fewer rows at the same address": _narrow,
    "fewer rows": lambda x: x[:3].clone(),
    "more rows": lambda x: torch.cat([x, x]),
    "another type": lambda x: x.double(),
    "another type at the same address": lambda x: x.view(torch.int32),
    "other strides": lambda x: x.t().clone().t(),
    "other strides at the same address": lambda x: x.view(-1).as_strided((4, 4), (1, 4)),
    "expanded": lambda x: x[:1].clone().expand(4, 4),
}


@requirement("GRAPH-014")
@pytest.mark.parametrize("name", KINDS)
def test_another_kind_of_input(subject: Subject, device: str, name: str) -> None:
    """A batch of a known descriptor with an input of another size, type or layout is computed
    right, or is refused.
    """
    with graphs(subject, device) as here:
        wrapped = here.wrap(lambda x: x.float() @ x.float().t())
        x = here.tensor(4, 4)
        other = KINDS[name](x)
        for each in (x, x, other):
            expected = each.float() @ each.float().t()
            with here.batch("PIECEWISE", here.descriptor(4)), or_refused(each is other):
                got = kept(wrapped(each))
                if each is other:
                    same("for another kind of input", expected, got)


@requirement("GRAPH-014")
@pytest.mark.parametrize("captured", ["apart", "shared"])
def test_inputs_share_memory_otherwise(subject: Subject, device: str, captured: str) -> None:
    """Two inputs that were two tensors become one, or the other way round; one is written."""
    with graphs(subject, device) as here:
        first, second, third = (here.tensor(4, 3, seed=seed) for seed in range(3))
        pairs = [(first, second), (third, third)]
        if captured == "shared":
            pairs.reverse()

        def function(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            x.add_(1)
            return x * y

        wrapped = here.wrap(function)
        with here.batch("PIECEWISE", here.descriptor(4)):
            wrapped(*pairs[0])
        x, y = pairs[1]
        own_x = x.clone()
        own = own_x, own_x if y is x else y.clone()
        expected = function(*own)
        with here.batch("PIECEWISE", here.descriptor(4)), or_refused(True):
            got = kept(wrapped(x, y))
            same("for inputs that share memory otherwise", expected, got, [(own_x, x)])


@requirement("GRAPH-014")
def test_another_number(subject: Subject, device: str) -> None:
    """A number among the inputs is part of the graph: another one must not be passed over."""
    with graphs(subject, device) as here:
        wrapped = here.wrap(lambda x, n: x * n)
        x = here.tensor(4, 3)
        for number in (2, 2, 5):
            with here.batch("PIECEWISE", here.descriptor(4)), or_refused(number == 5):
                got = kept(wrapped(x, number))
                if number == 5:
                    same("with another number", x * 5, got)


@requirement("GRAPH-015")
def test_results_feed_later_pieces(subject: Subject, device: str) -> None:
    """Three pieces, the third reading what the first made, captured for three descriptors in one
    pool and replayed in changing order: every batch is right.
    """
    with graphs(subject, device) as here:
        one = here.wrap(lambda x: (x * 2).sin() + 1, place=FIRST)
        two = here.wrap(lambda y: (y.exp() * 3).cos(), place=MIDDLE)
        three = here.wrap(lambda y, z: (y - z) * (z + 1), place=LAST)
        inputs = {size: here.tensor(size, 3) for size in SIZES}
        for number, size in enumerate((*SIZES, 8, 1, 4, 4, 8)):
            x = inputs[size]
            x.copy_(here.tensor(size, 3, seed=number))
            y = (x * 2).sin() + 1
            z = (y.exp() * 3).cos()
            with here.batch("PIECEWISE", here.descriptor(size)):
                first = one(x)
                got = three(first, two(first))
                if number >= len(SIZES):
                    same(f"in batch {number}, of {size}", (y - z) * (z + 1), got)
                    same(f"of the first piece in batch {number}", y, first)


@requirement("GRAPH-016")
def test_a_result_as_an_input(subject: Subject, device: str) -> None:
    """What one call returned is passed to the next: computed right, or refused."""
    with graphs(subject, device) as here:
        wrapped = here.wrap(lambda x: (x * 2).sin())
        x = here.tensor(4, 3)
        for _ in range(2):
            with here.batch("PIECEWISE", here.descriptor(4)):
                result = wrapped(x)
        with or_refused(True):
            for _ in range(2):
                expected = (result * 2).sin()
                with here.batch("PIECEWISE", here.descriptor(4)):
                    result = wrapped(result)
                same("of a result", expected, result)


@requirement("GRAPH-017")
def test_a_capture_that_fails(subject: Subject, device: str) -> None:
    """Its error comes out, no capture stays open, and the next batch is right."""
    fails = [True]

    def function(x: torch.Tensor) -> torch.Tensor:
        y = x + 1
        if fails[0]:
            raise LookupError("in the middle of a capture")
        return y * 2

    with graphs(subject, device) as here:
        wrapped = here.wrap(function)
        x = here.tensor(4, 3)
        try:
            with here.batch("PIECEWISE", here.descriptor(4)):
                wrapped(x)
        except LookupError:
            pass
        else:
            raise Violation("a capture that fails", expected="its LookupError", got="no error")
        if torch.cuda.is_current_stream_capturing():
            raise Violation("a failed capture", expected="closed", got="still under way")
        fails[0] = False
        for number in range(3):
            x.copy_(here.tensor(4, 3, seed=number))
            with here.batch("PIECEWISE", here.descriptor(4)):
                got = wrapped(x)
            if number:
                same("after a capture that failed", (x + 1) * 2, got)


@requirement("GRAPH-018")
def test_memory_is_freed(subject: Subject, device: str) -> None:
    """The memory of graphs goes back when their wrapper goes."""
    with graphs(subject, device) as here:
        x = here.tensor(1 << 14, 64)
        with here.batch("NONE", None):
            here.wrap(lambda x: (x * 2).sin())(x)
        before = here.reserved()
        wrapped = here.wrap(lambda x: (x * 2).sin())
        for size in SIZES:
            with here.batch("PIECEWISE", here.descriptor(size)):
                wrapped(x)
        during = here.reserved()
        if during <= before:
            raise Violation("bytes reserved by graphs", expected="some", got="none")
        del wrapped
        if (after := here.reserved()) != before:
            raise Violation(
                "bytes reserved after the wrapper is gone", expected=str(before), got=str(after)
            )


@requirement("GRAPH-018")
def test_memory_is_freed_by_clearing(subject: Subject, device: str) -> None:
    """And when a wrapper that can clear its graphs does; it captures anew afterwards."""
    with graphs(subject, device) as here:
        x = here.tensor(1 << 14, 64)
        before = here.reserved()
        wrapped = here.wrap(lambda x: (x * 2).sin())
        clear = getattr(wrapped.wrapper, "clear_graphs", None)
        if clear is None:
            raise Unsupported("the subject's wrapper has no clear_graphs")
        with here.batch("PIECEWISE", here.descriptor(4)):
            wrapped(x)
        clear()
        if (after := here.reserved()) != before:
            raise Violation(
                "bytes reserved after clear_graphs", expected=str(before), got=str(after)
            )
        for number in range(3):
            x.fill_(number)
            with here.batch("PIECEWISE", here.descriptor(4)):
                got = wrapped(x)
            if number:
                same("after clear_graphs", (x * 2).sin(), got)
