"""Copies of values, which stand for the originals in all that the oracle sees; and their texts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from piecewise_conformance.testkit.oracle import Observation, check, copy_values, describe, observe


def rows() -> torch.Tensor:
    """A contiguous tensor of 4 rows, all values different."""
    return torch.arange(12, dtype=torch.float32).reshape(4, 3)


def seen(*outputs: Any) -> Observation:
    """A call without arguments that returned the tuple ``outputs``."""
    return observe(lambda: outputs, [])


def test_copies_share_memory_as_the_originals_do() -> None:
    """And no memory with them; the same tensor twice is again one tensor."""
    base = rows()
    value = {"base": base, "view": base[1:, 1:], "again": [base], "other": rows(), "number": 3}
    copy = copy_values(value)
    assert copy["again"][0] is copy["base"]
    copy["base"].add_(100)
    assert copy["view"].equal(base[1:, 1:] + 100)
    assert copy["view"].storage_offset() == 4
    assert copy["other"].equal(rows())
    assert base.equal(rows())
    assert copy["number"] == 3


def test_copies_keep_what_a_tensor_is() -> None:
    """Dtype, requires_grad, no elements, no dimensions, complex views."""
    gradient = rows().requires_grad_()
    originals = [gradient, torch.empty(0, 3), torch.empty(3, 0), torch.tensor(1.5), rows().half()]
    for original, copy in zip(originals, copy_values(originals), strict=True):
        check(seen(original), seen(copy))
        assert copy.stride() == original.stride()
        assert copy.requires_grad == original.requires_grad
    assert copy_values([gradient])[0].is_leaf


@pytest.mark.parametrize("make", [torch.conj, lambda z: z.conj().imag], ids=["conj", "neg"])
def test_copies_of_lazy_views_have_their_values(make: Callable[[Any], Any]) -> None:
    """Torch conjugates and negates by a bit on the tensor, which is part of its value."""
    original = make(torch.tensor([1 + 2j, 3 - 1j]))
    check(seen(original), seen(copy_values(original)))


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(data=st.data())
def test_copies_of_any_views_of_one_base(data: st.DataObject) -> None:
    """Geometry, values and overlap are those of the originals, in any order of the views."""
    base = torch.arange(24, dtype=torch.int64)
    sizes, steps = st.integers(0, 3), st.integers(0, 4)
    views = []
    for _ in range(data.draw(st.integers(1, 4))):
        shape = data.draw(st.lists(sizes, max_size=3))
        strides = [data.draw(steps) for _ in shape]
        reach = sum(max(n - 1, 0) * step for n, step in zip(shape, strides, strict=True))
        views.append(base.as_strided(shape, strides, data.draw(st.integers(0, max(23 - reach, 0)))))
    copies = copy_values(views)
    for view, copy in zip(views, copies, strict=True):
        assert (copy.shape, copy.stride()) == (view.shape, view.stride())
        assert copy.storage_offset() == view.storage_offset()
        assert copy.equal(view)
    assert len({each.untyped_storage().data_ptr() for each in copies}) == 1
    assert copies[0].untyped_storage().data_ptr() != base.untyped_storage().data_ptr()


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (torch.tensor([1.0, 2.0]), "float32[2] stride (1,) [1, 2]"),
        ((None, [3]), "(None, [3])"),
        (torch.tensor([True]), "bool[1] stride (1,) [1]"),
        (torch.zeros(20), "..."),
        (torch.tensor([1j]), "complex64[1]"),
        (torch.empty(0), "float32[0]"),
    ],
)
def test_a_value_is_described(value: Any, says: str) -> None:
    """For the message of a failure, in a line."""
    assert says in describe(value)
    assert "\n" not in describe(value)
