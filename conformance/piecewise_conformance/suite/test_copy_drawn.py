"""COPY: calls that nobody wrote: drawn sizes, layouts, dtypes, shared memory and writes."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from piecewise_conformance.core.boundary import may_refuse
from piecewise_conformance.core.marks import requirement, slow
from piecewise_conformance.subject.subject import Subject
from piecewise_conformance.testkit.oracle import check, observe

WIDTH = 4
LAYOUTS = ["contiguous", "offset", "gapped", "transposed", "expanded"]
SHARED = [
    "",
    "",
    "same tensor",
    "rows of the first",
    "columns next to the first",
    "the first in another dtype",
]
DTYPES = [torch.float32, torch.float32, torch.float64, torch.int64]
OTHER_DTYPES = {
    torch.float32: torch.int32,
    torch.float64: torch.int64,
    torch.int64: torch.float64,
}
# what a callable does with its inputs, in this order
WRITES = {
    "x.add_(1)": lambda x, y: x.add_(1),
    "y.mul_(2)": lambda x, y: y.mul_(2),
    "x[1:] = 3": lambda x, y: x[1:].fill_(3),
    "y[:, ::2].neg_()": lambda x, y: y[:, ::2].neg_(),
}

_call = st.fixed_dictionaries(
    {
        "rows": st.integers(1, 9),
        "layout": st.sampled_from(LAYOUTS),
        "shared": st.sampled_from(SHARED),
        "dtype": st.sampled_from(DTYPES),
    }
)
_plain = {"rows": 3, "layout": "contiguous", "shared": "", "dtype": torch.float32}


def _tensor(rows: int, layout: str, dtype: torch.dtype, first: int) -> torch.Tensor:
    """``rows`` rows of numbers from ``first`` on, laid out so."""
    numbers = torch.arange(first, first + 4 * rows * WIDTH)
    whole = (numbers * 7 % 23).to(dtype)
    return {
        "contiguous": lambda: whole[: rows * WIDTH].reshape(rows, WIDTH),
        "offset": lambda: whole[WIDTH : (rows + 1) * WIDTH].reshape(rows, WIDTH),
        "gapped": lambda: whole[: 2 * rows * WIDTH].reshape(rows, 2 * WIDTH)[:, ::2],
        "transposed": lambda: whole[: rows * WIDTH].reshape(WIDTH, rows).t(),
        "expanded": lambda: whole[:WIDTH].reshape(1, WIDTH).expand(rows, WIDTH),
    }[layout]()


def _inputs(number: int, call: dict[str, Any]) -> list[torch.Tensor]:
    rows, layout, dtype = call["rows"], call["layout"], call["dtype"]
    x = _tensor(rows, layout, dtype, 100 * number)
    if call["shared"] == "same tensor":
        return [x, x]
    if call["shared"] == "the first in another dtype":
        return [x, x.view(OTHER_DTYPES[dtype])]
    if call["shared"] == "rows of the first":
        return [x, x[min(1, rows - 1) :]]
    if call["shared"] == "columns next to the first":
        whole = _tensor(2 * rows, "contiguous", dtype, 100 * number).reshape(rows, 2 * WIDTH)
        return [whole[:, :WIDTH], whole[:, WIDTH:]]
    return [x, _tensor(rows, "contiguous", dtype, 100 * number + 50)]


@requirement("COPY-011")
@slow
@settings(
    max_examples=120,
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
)
@given(
    calls=st.lists(_call, min_size=1, max_size=5),
    writes=st.lists(st.sampled_from([*WRITES])),
    copied=st.sampled_from([[0, 1], [0, 1], [0], [1]]),
)
@example(calls=[_plain | {"shared": "same tensor"}], writes=["x.add_(1)"], copied=[0, 1])
@example(calls=[_plain | {"shared": "rows of the first"}], writes=["x[1:] = 3"], copied=[0, 1])
@example(
    calls=[_plain | {"shared": "the first in another dtype"}], writes=["x.add_(1)"], copied=[0, 1]
)
@example(calls=[_plain, _plain | {"rows": 9}, _plain], writes=["y.mul_(2)"], copied=[0, 1])
@example(calls=[_plain | {"shared": "same tensor"}], writes=["x.add_(1)"], copied=[0])
@example(calls=[_plain | {"shared": "same tensor"}], writes=["x.add_(1)"], copied=[1])
def test_drawn_calls_are_copied(
    subject: Subject, calls: list[dict[str, Any]], writes: list[str], copied: list[int]
) -> None:
    """In each call the result and every input are as without the copy, or the call is refused,
    also where one of two is copied.
    """
    subject.get("make_copy_and_call")

    def function(x: torch.Tensor, y: torch.Tensor) -> Any:
        for each in writes:
            WRITES[each](x, y)
        return x * 2, y.sum(0), (y + 1).t()

    wrapped = subject.copy_and_call(copied, [None] * len(copied), function)
    body = f"{'; '.join(writes)}; return x * 2, y.sum(0), (y + 1).t()"
    text = f"calls = {calls}\ncopied: {copied}\nthe callable: {body}"
    for number, call in enumerate(calls):
        if writes and call["layout"] == "expanded":
            continue  # torch writes into no tensor whose elements share memory
        expected = observe(function, _inputs(number, call), copied=False)
        with may_refuse(True):
            got = observe(wrapped, _inputs(number, call), copied=False)
            # where the results lie is asked elsewhere
            got = dataclasses.replace(got, aliases=expected.aliases)
            check(expected, got, program=text, where=f"in call {number}")
