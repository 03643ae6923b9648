"""Who is called when a backend has compiled everything it will ever compile.

The callback is a context variable: it is restored also when the body raises, and threads do not
see each other's.
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
    """The callback in force, or None. Seed: ``_on_compilation_complete_callback``."""
    return _on_compilation_complete.get()


@contextmanager
def set_on_compilation_complete(callback: Callback) -> Iterator[None]:
    """Each backend that is called inside calls ``callback`` once, when all its ranges are
    compiled. Seed: ``set_on_compilation_complete``.
    """
    token = _on_compilation_complete.set(callback)
    try:
        yield
    finally:
        _on_compilation_complete.reset(token)
