"""The context of the current compile: the range, and the compiler's settings.

Passes may depend on the range. An adaptor that must compile in order to load needs the settings,
which ``load`` does not receive.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from ..ranges import Range


@dataclass(frozen=True)
class PassContext:
    """One compile or load for ``compile_range``, with the compiler's settings."""

    compile_range: Range
    compiler_config: Mapping[str, Any] = field(default_factory=dict)


_current: ContextVar[PassContext | None] = ContextVar("pass_context", default=None)


def current_pass_context() -> PassContext | None:
    """The current compile, or None."""
    return _current.get()


def get_pass_context() -> PassContext:
    """The current compile; raises RuntimeError if there is none."""
    context = _current.get()
    if context is None:
        raise RuntimeError("nothing is being compiled: open pass_context(compile_range) first")
    return context


@contextmanager
def pass_context(
    compile_range: Range, compiler_config: Mapping[str, Any] | None = None
) -> Iterator[None]:
    """A context in which a piece is compiled or loaded for ``compile_range``. Seed:
    ``pass_context``.
    """
    token = _current.set(PassContext(compile_range, compiler_config or {}))
    try:
        yield
    finally:
        _current.reset(token)
