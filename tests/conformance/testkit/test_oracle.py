"""The oracle can fail: each fact that it claims to compare has a difference that it reports."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from piecewise_conformance.core.verdict import Violation
from piecewise_conformance.testkit.oracle import (
    EXACT,
    FACTOR,
    Near,
    Observation,
    check,
    copy_values,
    observe,
)
from piecewise_fixtures import effects

Function = Callable[..., Any]
NAN, INF = float("nan"), float("inf")


def rows(n: int = 4) -> torch.Tensor:
    """A contiguous tensor of ``n`` rows, all values different."""
    return torch.arange(n * 3, dtype=torch.float32).reshape(n, 3)


def tensor(*values: float, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """A vector."""
    return torch.tensor(values, dtype=dtype)


def seen(*outputs: Any) -> Observation:
    """A call without arguments that returned the tuple ``outputs``."""
    return observe(lambda: outputs, [])


def compare(expected: Function, got: Function, *args: Any) -> None:
    """Judge ``got`` by ``expected``, both called with ``args``."""
    check(observe(expected, args), observe(got, args))


# -- structure, and what is told of a tensor -----------------------------------------------------

DIFFERENT: dict[str, tuple[Any, Any, str]] = {
    "fewer outputs": ((rows(), rows()), (rows(),), "structure"),
    "tuple for list": ([rows()], (rows(),), "structure"),
    "one-tuple for bare": (rows(), (rows(),), "structure"),
    "nested otherwise": ((rows(), (rows(),)), ((rows(), rows()),), "structure"),
    "dict key": ({"a": rows()}, {"b": rows()}, "structure"),
    "dict in dict": ({"a": {"b": rows()}}, {"a": rows()}, "structure"),
    "empty tuple for None": (None, (), "structure"),
    "None for tensor": (rows(), None, "output 0 differs"),
    "tensor for None": (None, rows(), "output 0 differs"),
    "int for bool": (True, 1, "output 0 differs"),
    "float for int": (1, 1.0, "output 0 differs"),
    "tensor for int": (1, torch.tensor(1), "output 0 differs"),
    "number": ((rows(), 3), (rows(), 4), "output 1 differs"),
    "dtype": (rows(), rows().double(), "a different dtype"),
    "bool for uint8": (torch.ones(2, dtype=torch.bool), torch.ones(2, dtype=torch.uint8), "dtype"),
    "device": (rows(), rows().to("meta"), "a different device"),
    "shape": (rows(), rows(5), "a different shape"),
    "rank": (rows(), rows()[None], "a different shape"),
    "empty shape": (torch.empty(0, 3), torch.empty(3, 0), "a different shape"),
    "layout": (rows(), rows().to_sparse(), "a different layout"),
    "strides": (rows(), rows().t().contiguous().t(), "different strides"),
    "gaps": (rows(), torch.zeros(4, 6)[:, :3], "different strides"),
    "expanded": (torch.ones(4, 3), torch.ones(1, 3).expand(4, 3), "different strides"),
    "value": (tensor(1, 2), tensor(1, 3), "different values"),
    "last bit": (tensor(1), torch.nextafter(tensor(1), tensor(2)), "different values"),
    "NaN appeared": (tensor(1, 2), tensor(1, NAN), "different values"),
    "NaN vanished": (tensor(1, NAN), tensor(1, 2), "different values"),
    "NaN elsewhere": (tensor(NAN, 1), tensor(1, NAN), "different values"),
    "sign of inf": (tensor(INF), tensor(-INF), "different values"),
    "whole number": (
        tensor(1, dtype=torch.int64),
        tensor(2, dtype=torch.int64),
        "different values",
    ),
    "bool": (torch.tensor([True]), torch.tensor([False]), "different values"),
    "imaginary part": (torch.tensor([1 + 1j]), torch.tensor([1 + 2j]), "different values"),
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_a_difference_is_a_violation(name: str) -> None:
    """One that says which fact differs, and shows both sides."""
    expected, got, says = DIFFERENT[name]
    with pytest.raises(Violation, match=says) as caught:
        check(observe(lambda: expected, []), observe(lambda: got, []), program="the program")
    assert caught.value.expected != caught.value.got
    assert caught.value.program == "the program"


EQUAL: dict[str, Any] = {
    "nothing": None,
    "bare": rows(),
    "nested": ({"a": [rows(), None]}, (), 3, True, 1.5, "text"),
    "NaN and inf": tensor(NAN, INF, -INF),
    "NaN in a list": [tensor(NAN)],
    "zero-size": torch.empty(0, 3),
    "scalar": torch.tensor(2.0),
    "strided": rows().t(),
    "expanded": torch.ones(1, 3).expand(4, 3),
    "bool": torch.tensor([True, False]),
    "complex": torch.tensor([1 + 2j]),
}


@pytest.mark.parametrize("name", EQUAL)
def test_equality_is_none(name: str) -> None:
    """A fresh copy of an answer is as good as the answer."""
    value = EQUAL[name]
    got = observe(lambda: copy_values(value), [])
    check(observe(lambda: value, []), got)
    check(observe(lambda: value, []), got, Near(got))


def test_zero_has_no_sign() -> None:
    """By decision: -0.0 equals 0.0."""
    check(seen(tensor(0.0)), seen(tensor(-0.0)))


def test_strides_that_mean_nothing() -> None:
    """Those of a dimension of one element, and of no elements at all."""
    check(seen(torch.zeros(1, 3)), seen(torch.zeros(1, 3).as_strided((1, 3), (17, 1))))
    check(seen(torch.empty(0, 3)), seen(torch.empty(3, 0).t()))


def test_where_and_in_which_call() -> None:
    """The position of the output, and what the caller says of the call."""
    with pytest.raises(Violation, match="output 1 for 6 tokens has different values"):
        check(seen(rows(), tensor(1)), seen(rows(), tensor(2)), where="for 6 tokens")


# -- aliasing ----------------------------------------------------------------------------------

ALIASING: dict[str, tuple[Function, Function]] = {
    "input returned": (lambda x, y: x, lambda x, y: x.clone()),
    "view of input": (lambda x, y: x[1:], lambda x, y: x[1:].clone()),
    "one of two equal inputs": (lambda x, y: x, lambda x, y: y),
    "output twice": (lambda x, y: (z := x + 1, z), lambda x, y: (x + 1, x + 1)),
    "view of output": (lambda x, y: (z := x + 1, z[1:]), lambda x, y: (x + 1, (x + 1)[1:])),
    "offset in input": (lambda x, y: (x * 0, x)[1][:1], lambda x, y: x[1:2]),
    "offset in output": (
        lambda x, y: (z := torch.zeros(8), z[2:4]),
        lambda x, y: (z := torch.zeros(8), z[4:6]),
    ),
}


@pytest.mark.parametrize("name", ALIASING)
@pytest.mark.parametrize("reverse", [False, True])
def test_aliasing_is_compared_both_ways(name: str, reverse: bool) -> None:
    """Memory that should be shared and is not, and memory that is and should not be."""
    one, other = ALIASING[name] if not reverse else ALIASING[name][::-1]
    x = torch.ones(4, 3)
    compare(one, one, x, x.clone())
    with pytest.raises(Violation, match="have a different aliasing"):
        compare(one, other, x, x.clone())


def test_aliasing_of_watched_tensors() -> None:
    """A parameter that is returned is not as good as a copy of it."""
    weight = rows()
    expected = observe(lambda: weight, [], watched=[weight])
    check(expected, observe(lambda: weight, [], watched=[weight]))
    with pytest.raises(Violation, match="aliasing"):
        check(expected, observe(lambda: weight.clone(), [], watched=[weight]))


# -- what was written, and effects -------------------------------------------------------------

WRITES: dict[str, tuple[Function, Function]] = {
    "written": (lambda x, y: x.add_(1), lambda x, y: None),
    "written otherwise": (lambda x, y: x.add_(1), lambda x, y: x.add_(2)),
    "the other input": (lambda x, y: x.add_(1), lambda x, y: y.add_(1)),
    "through a view": (lambda x, y: x[0].add_(1), lambda x, y: x[1].add_(1)),
}


def _void(function: Function) -> Function:
    """``function`` without its result: only what it writes counts."""

    def call(*args: Any) -> None:
        function(*args)

    return call


@pytest.mark.parametrize("name", WRITES)
@pytest.mark.parametrize("reverse", [False, True])
def test_writes_into_inputs(name: str, reverse: bool) -> None:
    """The inputs after the call are part of what it did, and the caller's are left alone."""
    one, other = map(_void, WRITES[name] if not reverse else WRITES[name][::-1])
    x = rows()
    compare(one, one, x, x.clone())
    with pytest.raises(Violation, match=r"input \d after the call has different values"):
        compare(one, other, x, x.clone())
    assert x.equal(rows())


def test_writes_into_watched_tensors() -> None:
    """Parameters and buffers are inputs that are not passed."""

    def adds(amount: int) -> Observation:
        buffer = rows()
        return observe(_void(lambda: buffer.add_(amount)), [], watched=[buffer])

    check(adds(1), adds(1))
    with pytest.raises(Violation, match="input 0 after the call"):
        check(adds(1), adds(0))


def test_inputs_inside_structures_are_observed() -> None:
    """An argument may be a list or a dict of tensors."""
    args = [{"a": [rows()]}]
    with pytest.raises(Violation, match="input 0 after"):
        compare(_void(lambda d: d["a"][0].zero_()), _void(lambda d: None), *args)


@pytest.mark.parametrize(
    "got",
    [["b", "a"], ["a"], ["a", "b", "b"], [], ["a", "c"]],
    ids=lambda each: "-".join(each) or "none",
)
def test_effects_by_order_and_number(got: list[str]) -> None:
    """The same effects in another order, or not as often, are a difference."""

    def does(labels: list[str]) -> Observation:
        def function() -> None:
            for label in labels:
                effects.log(label)

        return observe(function, [])

    check(does(["a", "b"]), does(["a", "b"]))
    with pytest.raises(Violation, match="effects happened"):
        check(does(["a", "b"]), does(got))


@pytest.mark.parametrize(
    ("got", "same"), [("ab", True), ("b", True), ("a", False), ("ba", False), ("aab", False)]
)
def test_an_effect_that_may_be_dropped(got: str, same: bool) -> None:
    """It may be missing where the program says so, and is else as good as any."""

    def does(labels: str) -> Observation:
        def function() -> None:
            for label in labels:
                effects.log(label, may_be_dropped=label == "a")

        return observe(function, [])

    if same:
        check(does("ab"), does(got), may_drop=True)
    else:
        with pytest.raises(Violation, match="effects happened"):
            check(does("ab"), does(got), may_drop=True)
    if got != "ab":
        with pytest.raises(Violation, match="effects happened"):
            check(does("ab"), does(got))


def test_the_number_of_an_effect() -> None:
    """It is exact under the exact rule, and else as near as sums are."""

    def does(number: float) -> Observation:
        return observe(lambda: effects.log("sum", number), [])

    check(does(1.0), does(1.01), Near(does(1.0)))
    check(does(math.nan), does(math.nan))
    for number, rule in ((1.01, EXACT), (2.0, Near(does(1.0))), (math.nan, Near(does(1.0)))):
        with pytest.raises(Violation, match="effects happened"):
            check(does(1.0), does(number), rule)


# -- Near --------------------------------------------------------------------------------------


def near(truth: torch.Tensor, eager: torch.Tensor, got: torch.Tensor) -> None:
    """Judge ``got`` by ``eager``, both measured from ``truth``."""
    check(seen(eager), seen(got), Near(seen(truth)))


def off(by: float, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """One and two, the two too large by ``by``."""
    return tensor(1, 2 + by, dtype=dtype)


TRUTH = off(0, torch.float64)
ERROR = 2.0**-10  # of eager: far above the floor, and exact in float32


@pytest.mark.parametrize("factor", [0.0, 1.0, -1.0, FACTOR, -FACTOR])
def test_near_passes_within_the_factor(factor: float) -> None:
    """As far from the truth as eager times the factor, in either direction."""
    near(TRUTH, off(ERROR), off(factor * ERROR))


@pytest.mark.parametrize("factor", [1.01 * FACTOR, -1.01 * FACTOR, 1e6])
def test_near_fails_beyond_the_factor(factor: float) -> None:
    """However slightly."""
    with pytest.raises(Violation, match="different values"):
        near(TRUTH, off(ERROR), off(factor * ERROR))


def test_near_has_a_floor() -> None:
    """An eager result that happens to be exact does not ask for exactness, nor allow anything."""
    ulp = torch.finfo(torch.float32).eps
    near(TRUTH, off(0), off(8 * ulp))
    with pytest.raises(Violation, match="different values"):
        near(TRUTH, off(0), off(100 * ulp))


@pytest.mark.parametrize(
    ("eager", "got"),
    [
        ((1, NAN), (1, 2)),
        ((1, 2), (1, NAN)),
        ((1, 2), (1, INF)),
        ((1, INF), (1, 2)),
        ((1, INF), (1, -INF)),
        ((1, INF), (1, NAN)),
        ((NAN, 2), (1, NAN)),
    ],
)
def test_near_is_exact_about_what_is_not_finite(
    eager: tuple[float, ...], got: tuple[float, ...]
) -> None:
    """NaN and infinities stand where eager has them, whatever the truth has there."""
    near(TRUTH, tensor(*eager), tensor(*eager))
    with pytest.raises(Violation, match="different values"):
        near(TRUTH, tensor(*eager), tensor(*got))


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8, torch.bool])
def test_near_is_exact_about_what_is_not_floating(dtype: torch.dtype) -> None:
    """A whole number that is off by one is wrong."""
    truth, eager = tensor(1, 1, dtype=dtype), tensor(1, 1, dtype=dtype)
    near(truth, eager, eager.clone())
    with pytest.raises(Violation, match="different values"):
        near(truth, eager, tensor(1, 0, dtype=dtype))


@pytest.mark.parametrize("part", ["real", "imag"])
def test_near_looks_at_both_parts_of_a_complex_number(part: str) -> None:
    """Neither part may be far off, and both may be a little off."""
    truth = torch.tensor([1 + 1j, 2 + 2j], dtype=torch.complex128)
    eager = truth.to(torch.complex64)
    close, wrong = eager.clone(), eager.clone()
    getattr(close, part)[0] += torch.finfo(torch.float32).eps
    getattr(wrong, part)[0] += 0.5
    near(truth, eager, close)
    with pytest.raises(Violation, match="different values"):
        near(truth, eager, wrong)


def test_near_holds_for_written_inputs() -> None:
    """The inputs after the call are measured as outputs are."""

    def adds(amount: float, dtype: torch.dtype = torch.float32) -> Observation:
        return observe(_void(lambda x: x.add_(amount)), [tensor(1, 2, dtype=dtype)])

    rule = Near(adds(1, torch.float64))
    check(adds(1 + ERROR), adds(1 - ERROR), rule)
    with pytest.raises(Violation, match="input 0 after the call"):
        check(adds(1 + ERROR), adds(1 - 5 * ERROR), rule)


GAPPED = torch.zeros(4, 6)[:, :3]


@pytest.mark.parametrize(
    ("want", "have", "same"),
    [
        (GAPPED, torch.zeros(4, 3), True),  # gaps may be closed
        (torch.zeros(4, 3), GAPPED, True),
        (GAPPED, torch.zeros(3, 4).t(), False),  # the order of dimensions stays
        (torch.zeros(2, 3, 4).permute(0, 2, 1), torch.zeros(2, 4, 3), False),
        (torch.zeros(1, 3).expand(4, 3), torch.zeros(4, 3), False),
        (torch.zeros(4, 3), torch.zeros(1, 3).expand(4, 3), False),
    ],
)
def test_near_and_strides(want: torch.Tensor, have: torch.Tensor, same: bool) -> None:
    """A compiler may close gaps, and may neither permute nor expand."""
    rule = Near(seen(torch.zeros(want.shape, dtype=torch.float64)))
    if same:
        check(seen(want), seen(have), rule)
        return
    with pytest.raises(Violation, match="different strides"):
        check(seen(want), seen(have), rule)
