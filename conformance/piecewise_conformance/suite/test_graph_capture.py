"""GRAPH: what a static-graph wrapper captures and replays, emulated on a CPU, real on a GPU."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
from piecewise_conformance.core.boundary import expect_refusal
from piecewise_conformance.core.marks import requirement, slow
from piecewise_conformance.core.verdict import Unsupported, Violation
from piecewise_conformance.isolation import global_state
from piecewise_conformance.subject.subject import Subject
from piecewise_conformance.testkit.cudagraphs.graph_wrapper import (
    FIRST,
    LAST,
    MIDDLE,
    Counted,
    graphs,
    or_refused,
    same,
)

SIZES = (8, 4, 1)
both_modes = pytest.mark.parametrize("mode", ["PIECEWISE", "FULL"])


def _calls(counted: Counted, expected: int, what: str) -> None:
    if counted.calls != expected:
        raise Violation(
            f"calls of the wrapped callable {what}", expected=str(expected), got=str(counted.calls)
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


class Pair(NamedTuple):
    """Two results with names."""

    first: torch.Tensor
    second: torch.Tensor


FUNCTIONS: dict[str, Callable[[torch.Tensor, torch.Tensor], Any]] = {
    "bare": lambda x, y: x * y + 1,
    "tuple of one": lambda x, y: (x - y,),
    "many, and none": lambda x, y: (x + y, None, [y.sin(), 3], x.sum()),
    "in place": _in_place,
    "no output": lambda x, y: _discard(x.mul_(y)),
    "views of one memory": lambda x, y: torch.split(x + y, [1, 2], dim=1),
    "a dict": lambda x, y: {"sum": x + y, "parts": {"x": x * 2, 3: [y.sin()]}},
    "a named tuple": lambda x, y: Pair(x + y, x.sin()),
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
@pytest.mark.parametrize(
    ("fact", "values"),
    [("uniform", (False, True)), ("has_lora", (False, True)), ("num_reqs", (1, 2))],
)
def test_descriptors_are_apart(
    subject: Subject, device: str, fact: str, values: tuple[Any, Any]
) -> None:
    """Two batches of one size, of different kinds, each replayed with its own computation."""
    kind = {"is": False}
    with graphs(subject, device) as here:
        x = here.tensor(4, 3)
        wrapped = here.wrap(lambda x: x * 2 if kind["is"] else x + 1)
        for number in range(6):
            kind["is"] = bool(number % 2)
            x.copy_(here.tensor(4, 3, seed=number))
            expected = x * 2 if kind["is"] else x + 1
            value = values[kind["is"]]
            with here.batch("PIECEWISE", here.descriptor(4, **{fact: value})):
                got = wrapped(x)
            if number >= 2:
                same(f"for a batch with {fact}={value}", expected, got)


@requirement("GRAPH-005")
@pytest.mark.parametrize("own", ["PIECEWISE", "FULL"])
def test_runs_what_it_wraps_after_a_capture(subject: Subject, device: str, own: str) -> None:
    """What was captured serves its own mode alone: in NONE and in the other mode the callable
    runs, also for the descriptor of the capture.
    """
    with graphs(subject, device) as here:
        counted = Counted(lambda x: x * 2)
        wrapped = here.wrap(counted, own)
        x = here.tensor(4, 3)
        with here.batch(own, here.descriptor(4)):
            wrapped(x)
        for mode in ("NONE", "FULL" if own == "PIECEWISE" else "PIECEWISE"):
            before = counted.calls
            with here.batch(mode, here.descriptor(4), dummy=False):
                got = wrapped(x)
            same(f"in mode {mode} after a capture in {own}", x * 2, got)
            if counted.calls != before + 1:
                raise Violation(
                    f"calls of the wrapped callable in mode {mode} after a capture in {own}",
                    expected="1",
                    got=str(counted.calls - before),
                )


@requirement("GRAPH-011")
@slow
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
                        f"calls of (first, second piece, code between) in a later {mode} batch",
                        expected=str(again),
                        got=str(ran),
                    )
                same(f"in mode {mode}", expected, got)
            seen.add(mode)


@requirement("GRAPH-015")
@slow
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
        with (
            expect_refusal("a capture that fails", "in the middle of a capture"),
            here.batch("PIECEWISE", here.descriptor(4)),
        ):
            wrapped(x)
        if torch.cuda.is_current_stream_capturing():
            raise Violation("a failed capture", expected="closed", got="still open")
        fails[0] = False
        for number in range(3):
            x.copy_(here.tensor(4, 3, seed=number))
            with here.batch("PIECEWISE", here.descriptor(4)):
                got = wrapped(x)
            if number:
                same("after a capture that failed", (x + 1) * 2, got)


@requirement("GRAPH-023")
@pytest.mark.parametrize("place", [FIRST, MIDDLE], ids=["first", "middle"])
def test_captures_after_the_last_graph(
    subject: Subject, device: str, place: tuple[bool, bool, bool]
) -> None:
    """Three wrappers, each gone before the next is made, and one result of each is held."""
    with graphs(subject, device) as here:
        x, held = here.tensor(4, 3), []
        for number in range(3):
            wrapped = here.wrap(lambda x, number=number: x * 2 + number, place=place)
            for seed in range(3):
                x.copy_(here.tensor(4, 3, seed=seed))
                with here.batch("PIECEWISE", here.descriptor(4)):
                    got = wrapped(x)
                if seed:
                    same(f"of wrapper {number}, in replay {seed}", x * 2 + number, got)
            held.append(got)
            del wrapped
            gc.collect()


@requirement("BACKEND-005")
@pytest.mark.parametrize("fails", [False, True])
def test_global_state_after_captures(subject: Subject, device: str, fails: bool) -> None:
    """Captures of a first and a later piece, replays, and a capture that fails leave all that is
    global as it was.
    """

    def function(x: torch.Tensor) -> torch.Tensor:
        if fails:
            raise LookupError("in a capture")
        return x * 2

    with graphs(subject, device) as here, global_state.unchanged():
        x = here.tensor(4, 3)
        for place in (FIRST, MIDDLE, LAST):
            wrapped = here.wrap(function, place=place)
            for _ in range(2):
                # a second capture may be refused, if the first failed: that is GRAPH-017's
                with or_refused(fails), here.batch("PIECEWISE", here.descriptor(4)):
                    wrapped(x)


@requirement("GRAPH-018")
@slow
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
@slow
def test_memory_is_freed_by_clearing(subject: Subject, device: str) -> None:
    """And when a wrapper that can clear its graphs does; it captures anew afterwards."""
    with graphs(subject, device) as here:
        x = here.tensor(1 << 14, 64)
        before = here.reserved()
        wrapped = here.wrap(lambda x: (x * 2).sin())
        clear = getattr(wrapped.wrapper, "clear_graphs", None)
        if clear is None:
            raise Unsupported("the subject's wrapper has no clear_graphs")
        for size in (4, 2, 1):
            with here.batch("PIECEWISE", here.descriptor(size)):
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
