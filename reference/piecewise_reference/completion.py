"""The callback that is called when a backend has compiled all of its ranges.

It is a context variable, so it is restored after an exception and is separate for each thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Callback = Callable[[], None]

_on_compilation_complete: ContextVar[Callback | None] = ContextVar(
    "on_compilation_complete", default=None
)


def compilation_complete_callback() -> Callback | None:
    """The current callback, or None. Seed: ``_on_compilation_complete_callback``."""
    return _on_compilation_complete.get()


@contextmanager
def set_on_compilation_complete(callback: Callback) -> Iterator[None]:
    """A context in which each backend that is called calls ``callback`` once, when all its ranges
    are compiled. Seed: ``set_on_compilation_complete``.
    """
    token = _on_compilation_complete.set(callback)
    try:
        yield
    finally:
        _on_compilation_complete.reset(token)
