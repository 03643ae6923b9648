"""GRAPH: inputs of a replay that are not those of the capture, emulated on a CPU, real on a GPU."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from piecewise_conformance.marks import requirement
from piecewise_conformance.static_graphs import graphs, kept, or_refused, same
from piecewise_conformance.subject import Subject


def _in_place(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    x.add_(y)
    return x * 2


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
