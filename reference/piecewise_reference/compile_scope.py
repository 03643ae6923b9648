"""What is being compiled just now: the range, and the settings of the compiler.

Passes behave by range, and an adaptor that must compile in order to load needs the settings that
the contract of ``load`` does not pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from .ranges import Range

_scope: ContextVar[tuple[Range | None, Mapping[str, Any]]] = ContextVar(
    "compile_scope", default=(None, {})
)


def current_compile_range() -> Range | None:
    """The range that is being compiled; None outside of a compile."""
    return _scope.get()[0]


def current_compiler_config() -> Mapping[str, Any]:
    """The settings of the compiler; empty outside of a compile."""
    return _scope.get()[1]


@contextmanager
def pass_context(
    compile_range: Range, compiler_config: Mapping[str, Any] | None = None
) -> Iterator[None]:
    """Open while a piece is compiled, or loaded, for ``compile_range``. Seed: ``pass_context``."""
    token = _scope.set((compile_range, compiler_config or {}))
    try:
        yield
    finally:
        _scope.reset(token)
