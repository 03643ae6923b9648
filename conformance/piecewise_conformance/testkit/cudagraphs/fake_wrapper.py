"""A static-graph wrapper that captures nothing and notes what it was made with and how it is used.

It is handed to a subject by its qualified name, in the place of the one for the platform.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

NAME = "piecewise_conformance.testkit.cudagraphs.fake_wrapper.WatchedWrapper"

_made: list[Wrapped] = []


@dataclass
class Wrapped:
    """One wrapper: its mode by name, (debug_log_enable, gc_disable, weak_ref_output), how often it
    was called, and at which place in the order of calls it was called first.
    """

    runtime_mode: str
    options: tuple[bool, bool, bool]
    calls: int = 0
    turn: int = -1


@contextmanager
def watching() -> Iterator[list[Wrapped]]:
    """The wrappers made inside."""
    global _made
    before, _made = _made, []
    try:
        yield _made
    finally:
        _made = before


class WatchedWrapper:
    """The seed's interface of a static-graph wrapper."""

    def __init__(
        self,
        runnable: Callable[..., Any],
        vllm_config: Any,
        runtime_mode: Any,
        cudagraph_options: Any = None,
        **others: Any,
    ) -> None:
        self.runnable = runnable
        self._others = _made
        self._seen = Wrapped(
            runtime_mode.name,
            (
                bool(cudagraph_options.debug_log_enable),
                bool(cudagraph_options.gc_disable),
                bool(cudagraph_options.weak_ref_output),
            ),
        )
        _made.append(self._seen)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call what is wrapped, and note that."""
        if self._seen.turn < 0:
            self._seen.turn = sum(each.turn >= 0 for each in self._others)
        self._seen.calls += 1
        return self.runnable(*args, **kwargs)

    def unwrap(self) -> Callable[..., Any]:
        """What is wrapped."""
        return self.runnable
