"""Which functions of the reference a test reaches, so that a mutant is run on those tests alone.

The instrumented reference reports every function that runs. A process that a test starts reports
to it through the answer that it gives.
"""

from __future__ import annotations

INSTRUMENTED = "instrumented"

_reached: set[str] = set()

reached = _reached.add


def key(file: str, function: str, line: int) -> str:
    """The name under which a function is reported."""
    return f"{file}:{line}:{function}"


def take() -> list[str]:
    """What was reached since the last call."""
    found = sorted(_reached)
    _reached.clear()
    return found


def add(keys: list[str]) -> None:
    """Count what another process reached as reached by this one."""
    _reached.update(keys)
