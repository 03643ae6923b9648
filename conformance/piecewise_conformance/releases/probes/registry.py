"""The probes by name."""

from __future__ import annotations

from collections.abc import Callable

PROBES: dict[str, Callable[[], str]] = {}


def probe(name: str) -> Callable[[Callable[[], str]], Callable[[], str]]:
    """Enter the decorated function as the probe ``name``."""

    def enter(function: Callable[[], str]) -> Callable[[], str]:
        if name in PROBES:
            raise ValueError(f"two probes are called {name!r}")
        PROBES[name] = function
        return function

    return enter
