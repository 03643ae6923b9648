"""Which statements of the reference a test reaches, so that a mutant is run on those tests alone.

The instrumented reference reports every statement that runs. A process that a test starts reports
to it through the answer that it gives.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

_reached: set[str] = set()

reached = _reached.add


def key(file: str, line: int) -> str:
    """The name under which the statement that starts on ``line`` is reported."""
    return f"{file}:{line}"


@contextmanager
def noting() -> Iterator[list[str]]:
    """What is reached inside, for something that is kept: who uses it again reaches that again."""
    before = set(_reached)
    _reached.clear()
    found: list[str] = []
    try:
        yield found
    finally:
        found += sorted(_reached)
        _reached.update(before)


def take() -> list[str]:
    """What was reached since the last call."""
    found = sorted(_reached)
    _reached.clear()
    return found


def add(keys: list[str]) -> None:
    """Count what another process reached as reached by this one."""
    _reached.update(keys)
