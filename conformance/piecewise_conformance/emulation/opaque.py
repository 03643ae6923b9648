"""Callables whose kernels the dispatcher does not see."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from .current import current


def opaque(function: Callable[..., Any], name: str = "") -> Callable[..., Any]:
    """``function``, recorded in a capture as one launch: on replay it is called again, with the
    captured places for its tensors, and its results go where the captured ones lie.

    For code that works on memory behind torch's back, such as a compiled C++ kernel; what Inductor
    compiled is marked already. Its Python runs at every replay, so it must be no more than the
    way to the kernel.
    """
    shown = name or getattr(function, "__qualname__", type(function).__name__)

    @functools.wraps(function, updated=())
    def call(*args: Any, **kwargs: Any) -> Any:
        emulation = current()
        if emulation is None:
            return function(*args, **kwargs)
        return emulation.run_opaque(shown, function, args, kwargs)

    return call
