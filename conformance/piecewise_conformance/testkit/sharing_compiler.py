"""A compiler that takes what it is told for facts, as compilers do, and lets equal pieces share.

``shares_artifacts`` says that pieces that are equal may be served by one artifact. A backend need
not make use of that. Where one does, an artifact in the wrong place is seen: it computes what it
was compiled from, and refuses inputs that it was not compiled for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import torch

from .spy import SpyCompiler

NAME = f"{__name__}.RelyingCompiler"

_told: dict[Any, _Facts] = {}  # by repr of the handle: what a disk would hold


def _kind(value: Any) -> list[Any]:
    """Dtype and strides of a tensor; a stride that is a symbol is open."""
    if not isinstance(value, torch.Tensor):
        return []
    return [value.dtype, *(each if type(each) is int else None for each in value.stride())]


def _together(values: Sequence[Any]) -> set[tuple[int, int]]:
    """The positions of tensors that share memory."""
    tensors = [(i, each) for i, each in enumerate(values) if isinstance(each, torch.Tensor)]
    return {
        (i, j)
        for (i, one), (j, other) in combinations(tensors, 2)
        if one.untyped_storage()._cdata == other.untyped_storage()._cdata
    }


@dataclass
class _Facts:
    """What an artifact was compiled for."""

    kinds: list[list[Any]]
    together: set[tuple[int, int]]
    range: tuple[int, int]

    def check(self, args: Sequence[Any]) -> None:
        for position, (known, arg) in enumerate(zip(self.kinds, args, strict=True)):
            for fact, found in zip(known, _kind(arg), strict=True):
                if fact not in (None, found):
                    raise ValueError(f"input {position} has {found}, expected {fact}")
        if apart := _together(args) - self.together:
            raise ValueError(f"inputs {apart} share memory, expected separate memory")
        for size in args:
            if isinstance(size, int) and not self.range[0] <= size <= self.range[1]:
                raise ValueError(f"a batch of {size} tokens, but the artifact is for {self.range}")


def _relying(runnable: Callable[..., Any], facts: _Facts) -> Callable[..., Any]:
    def run(*args: Any) -> Any:
        facts.check(args)
        return runnable(*args)

    return run


class RelyingCompiler(SpyCompiler):
    """A spy whose artifacts rely on what they were compiled for; numbers are batch sizes."""

    name = "relying"
    shares_artifacts = True

    def compile(
        self,
        graph: Any,
        example_inputs: list[Any],
        compiler_config: dict[str, Any],
        compile_range: Any,
        key: Any = None,
    ) -> tuple[Any, Any]:
        """As the spy does."""
        facts = _Facts(
            list(map(_kind, example_inputs)),
            _together(example_inputs),
            (compile_range.start, compile_range.end),
        )
        runnable, handle = super().compile(
            graph, example_inputs, compiler_config, compile_range, key
        )
        _told[repr(handle)] = facts
        return _relying(runnable, facts), handle

    def load(
        self,
        handle: Any,
        graph: Any,
        example_inputs: list[Any],
        graph_index: int,
        compile_range: Any,
    ) -> Any:
        """What was compiled under ``handle``."""
        runnable = super().load(handle, graph, example_inputs, graph_index, compile_range)
        return None if runnable is None else _relying(runnable, _told[repr(handle)])
