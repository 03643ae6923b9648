"""What is being compiled just now: the range, and the settings of the compiler.

Passes behave by range, and an adaptor that must compile in order to load needs the settings that
the contract of ``load`` does not pass.
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
    """One compile, or one load: for ``compile_range``, with the compiler's settings."""

    compile_range: Range
    compiler_config: Mapping[str, Any] = field(default_factory=dict)


_current: ContextVar[PassContext | None] = ContextVar("pass_context", default=None)


def current_pass_context() -> PassContext | None:
    """The compile under way, or None."""
    return _current.get()


def get_pass_context() -> PassContext:
    """The compile under way; RuntimeError if there is none."""
    context = _current.get()
    if context is None:
        raise RuntimeError("nothing is being compiled: open pass_context(compile_range) first")
    return context


@contextmanager
def pass_context(
    compile_range: Range, compiler_config: Mapping[str, Any] | None = None
) -> Iterator[None]:
    """Open while a piece is compiled, or loaded, for ``compile_range``. Seed: ``pass_context``."""
    token = _current.set(PassContext(compile_range, compiler_config or {}))
    try:
        yield
    finally:
        _current.reset(token)
