"""Torch's modes that a call leaves behind are seen, and are no other call's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from piecewise_conformance.core.verdict import Violation
from piecewise_conformance.testkit.oracle import check, observe


def _leave_autocast_on(x: torch.Tensor) -> torch.Tensor:
    torch.autocast("cpu", dtype=torch.float16).__enter__()
    return x


def _leave_gradients_on(x: torch.Tensor) -> torch.Tensor:
    torch.set_grad_enabled(not torch.is_grad_enabled())
    return x


def _fail_in_autocast(x: torch.Tensor) -> torch.Tensor:
    torch.autocast("cpu", dtype=torch.float16).__enter__()
    raise LookupError


def _plain(x: torch.Tensor) -> torch.Tensor:
    return x


def _compare(expected: Callable[..., Any], got: Callable[..., Any]) -> None:
    x = torch.ones(3)
    check(observe(expected, [x]), observe(got, [x]), with_modes=True)


@pytest.mark.parametrize("leave", [_leave_autocast_on, _leave_gradients_on])
def test_modes_afterwards(leave: Callable[..., Any]) -> None:
    """What one of two calls leaves behind is a difference; what both do is none."""
    grad = torch.is_grad_enabled()
    _compare(leave, leave)
    with pytest.raises(Violation, match=r"(autocast|grad mode) after the call"):
        _compare(_plain, leave)
    with pytest.raises(Violation, match=r"(autocast|grad mode) after the call"):
        _compare(leave, _plain)
    _compare(_plain, _plain)
    assert torch.is_grad_enabled() == grad
    assert not torch.is_autocast_enabled("cpu")


def test_modes_after_an_error() -> None:
    """A call that raises leaves nothing behind for the next one either."""
    with pytest.raises(LookupError):
        _compare(_plain, _fail_in_autocast)
    assert not torch.is_autocast_enabled("cpu")
    _compare(_plain, _plain)
