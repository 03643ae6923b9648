"""What tests of static buffers call, and what it saw."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from ..core.boundary import may_refuse

WIDTH = 4


def rows(count: int, seed: int = 0, **kwargs: Any) -> torch.Tensor:
    """``count`` rows of numbers that no other call has."""
    generator = torch.Generator().manual_seed(1000 * seed + count)
    return (
        torch.randn((count, WIDTH), generator=generator).to(**kwargs)
        if kwargs
        else torch.randn((count, WIDTH), generator=generator)
    )


class Seen:
    """A callable that keeps a copy of what it sees, and its addresses."""

    def __init__(self) -> None:
        self.args: list[tuple[Any, ...]] = []
        self.copies: list[tuple[Any, ...]] = []
        self.addresses: list[tuple[int, ...]] = []

    def __call__(self, *args: Any) -> Any:
        """Take note, and return the number of the call."""
        tensors = [each for each in args if isinstance(each, torch.Tensor)]
        self.args.append(args)
        self.copies.append(tuple(e.clone() if isinstance(e, torch.Tensor) else e for e in args))
        self.addresses.append(tuple(each.data_ptr() for each in tensors))
        return len(self.args)


def same(want: torch.Tensor, have: torch.Tensor) -> bool:
    """Whether shape, dtype and every value agree."""
    return (want.shape, want.dtype) == (have.shape, have.dtype) and torch.equal(want, have)


def buffers(kind: str, *shapes: int) -> list[torch.Tensor | None]:
    """Buffers given by the caller, full of numbers that must not show, or left to be made."""
    if kind == "lazy":
        return [None] * len(shapes)
    return [torch.full((count, WIDTH), float("nan")) for count in shapes]


def refusal(call: Callable[..., Any], *args: Any) -> str | None:
    """The error with which the subject refuses a call, which must say why; None if it serves it."""
    told = None
    with may_refuse(True):
        try:
            call(*args)
        except Exception as error:
            told = f"{type(error).__name__}: {error}"
            raise
    return told
