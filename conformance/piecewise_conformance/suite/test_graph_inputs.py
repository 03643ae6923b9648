"""GRAPH: inputs of a replay that are not those of the capture, emulated on a CPU, real on a GPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from piecewise_conformance.core.marks import requirement
from piecewise_conformance.subject.subject import Subject
from piecewise_conformance.testkit.cudagraphs.graph_wrapper import graphs, kept, or_refused, same


def _in_place(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    x.add_(y)
    return x * 2


@requirement("GRAPH-012")
@pytest.mark.parametrize("captured_input", ["kept", "dropped", "same-object"])
def test_inputs_elsewhere(subject: Subject, device: str, captured_input: str) -> None:
    """A replay for tensors at other addresses computes for those, or the call is refused; also if
    they are the tensors of the capture, which were given other memory through ``data``.
    """
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
            fresh = [here.tensor(4, 3, seed=2 + seed), here.tensor(4, 3, seed=9 + seed)]
            if captured_input == "same-object":
                for each, other in zip(inputs, fresh, strict=True):
                    each.data = other
            else:
                inputs = fresh


def _mixed(x: Any, n: Any, y: Any, chosen: Any, one: Any) -> torch.Tensor:
    return torch.where(chosen, (x * 2 + n).sin(), y * 3) + one


@requirement("GRAPH-012")
@pytest.mark.parametrize("moves", [(0,), (1,), (2,), (3,), (4,), (1, 3), (0, 1, 2, 3, 4)])
def test_some_inputs_elsewhere(subject: Subject, device: str, moves: tuple[int, ...]) -> None:
    """Of five inputs, with integers, booleans and a lone number among them, any may lie elsewhere:
    in each of three replays at another place of one large buffer.
    """
    with graphs(subject, device) as here:
        wrapped = here.wrap(_mixed)
        blocks = [here.tensor(20, 3, seed=seed) for seed in range(5)]
        blocks[1] = (blocks[1] * 10).to(torch.int64)
        blocks[3] = blocks[3] > 0
        for number in range(4):
            starts = [4 * number if position in moves else 0 for position in range(5)]
            args = [block[start : start + 4] for block, start in zip(blocks, starts, strict=True)]
            args[4] = args[4][0, 0]
            expected = _mixed(*args)
            with here.batch("PIECEWISE", here.descriptor(4)), or_refused(number > 0):
                got = kept(wrapped(*args))
                if number:
                    same(f"with inputs {moves} elsewhere in their buffers", expected, got)


@requirement("GRAPH-012")
def test_inputs_change_places(subject: Subject, device: str) -> None:
    """Each input lies where another one lay at capture, as buffers that are used in turn do."""
    with graphs(subject, device) as here:
        wrapped = here.wrap(lambda x, y: x * 2 - y)
        x, y = here.tensor(4, 3), here.tensor(4, 3, seed=1)
        for number in range(4):
            expected = x * 2 - y
            with here.batch("PIECEWISE", here.descriptor(4)), or_refused(number > 0):
                got = kept(wrapped(x, y))
                if number:
                    same("for inputs that changed places", expected, got)
            x, y = y, x


@requirement("GRAPH-013")
@pytest.mark.parametrize("inference", [False, True])
def test_two_that_are_written(subject: Subject, device: str, inference: bool) -> None:
    """Two inputs are written and one is returned: all is found in the tensors of the call, in
    inference mode too.
    """

    def function(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        x.add_(1)
        y.mul_(x)
        return y

    with graphs(subject, device) as here, torch.inference_mode(inference):
        wrapped = here.wrap(function)
        first = [here.tensor(4, 3), here.tensor(4, 3, seed=1)]
        with here.batch("PIECEWISE", here.descriptor(4)):
            wrapped(*first)
        lay_there = [each.clone() for each in first]
        for seed in (2, 4):
            args = [here.tensor(4, 3, seed=seed), here.tensor(4, 3, seed=seed + 1)]
            own = [each.clone() for each in args]
            expected = function(*own)
            pairs = [*zip(own, args, strict=True), *zip(lay_there, first, strict=True)]
            with here.batch("PIECEWISE", here.descriptor(4)), or_refused(True):
                got = wrapped(*args)
                same("with two inputs that are written", expected, got, pairs)


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


def _scaled(x: torch.Tensor, number: float) -> torch.Tensor:
    return (x if isinstance(number, bool) else -x) * number


@requirement("GRAPH-014")
@pytest.mark.parametrize(("before", "after"), [(2, 5), (2, 2.0), (1, True)])
def test_another_number(subject: Subject, device: str, before: int, after: float) -> None:
    """A number among the inputs is part of the graph: another one, or one of another type, must
    not be passed over.
    """
    with graphs(subject, device) as here:
        wrapped = here.wrap(_scaled)
        x = (here.tensor(4, 3) * 10).to(torch.int64)
        for number in (before, before, after):
            with here.batch("PIECEWISE", here.descriptor(4)), or_refused(number is after):
                got = kept(wrapped(x, number))
                if number is after:
                    same("with another number", _scaled(x, number), got)


ARGUMENTS = {
    "none that becomes a tensor": (None, 1.0),
    "a tensor that becomes none": (1.0, None),
    "a number that becomes a tensor": (2, 1.0),
    "a tensor that becomes a number": (1.0, 2),
}


@requirement("GRAPH-014")
@pytest.mark.parametrize("name", ARGUMENTS)
def test_a_tensor_or_not(subject: Subject, device: str, name: str) -> None:
    """What is a tensor in one batch and a number, or nothing, in the next; floats say which."""

    def function(x: torch.Tensor, other: torch.Tensor | int | None) -> torch.Tensor:
        return x.sin() if other is None else x * other

    with graphs(subject, device) as here:
        x = here.tensor(4, 3)
        before, after = (
            here.tensor(4, 3, seed=1) if isinstance(each, float) else each
            for each in ARGUMENTS[name]
        )
        wrapped = here.wrap(function)
        for other in (before, before, after):
            expected = function(x, other)
            with here.batch("PIECEWISE", here.descriptor(4)), or_refused(other is after):
                got = kept(wrapped(x, other))
                if other is after:
                    same(f"with {name}", expected, got)


@requirement("GRAPH-014")
@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1)])
def test_fewer_or_more_inputs(subject: Subject, device: str, before: int, after: int) -> None:
    """Another number of inputs for a descriptor is computed with, or refused."""

    def function(*args: torch.Tensor) -> torch.Tensor:
        return torch.stack(args).sum(0)

    with graphs(subject, device) as here:
        tensors = [here.tensor(4, 3), here.tensor(4, 3, seed=1)]
        wrapped = here.wrap(function)
        for count in (before, before, after):
            expected = function(*tensors[:count])
            with here.batch("PIECEWISE", here.descriptor(4)), or_refused(count == after):
                got = kept(wrapped(*tensors[:count]))
                if count == after:
                    same(f"with {after} inputs after {before}", expected, got)
