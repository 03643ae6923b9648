"""A spy whose artifacts can be kept as bytes, where a backend can collect those of its compiler.

A backend that knows nothing of ``to_bytes`` keeps the graph, and compiles again.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from . import spy

NAME = f"{__name__}.KeepingCompiler"


class _Artifact:
    """A compiled piece that can be kept."""

    def __init__(self, run: Callable[..., Any], handle: Any) -> None:
        self.run, self.handle = run, handle

    def __call__(self, *args: Any) -> Any:
        return self.run(*args)

    def to_bytes(self) -> bytes:
        """The handle: artifacts are in memory."""
        return json.dumps(list(self.handle)).encode()


class KeepingCompiler(spy.SpyCompiler):
    """The spy; what it compiled has ``to_bytes``, and ``from_bytes`` is a load."""

    def compile(
        self,
        graph: Any,
        example_inputs: list[Any],
        compiler_config: dict[str, Any],
        compile_range: Any,
        key: Any = None,
    ) -> tuple[Any, Any]:
        """As the spy's."""
        run, handle = super().compile(graph, example_inputs, compiler_config, compile_range, key)
        return (None if run is None else _Artifact(run, handle)), handle

    def from_bytes(
        self, data: bytes, graph: Any, example_inputs: list[Any], compile_range: Any
    ) -> Any:
        """The artifact whose bytes these are."""
        handle = tuple(json.loads(data))
        return _Artifact(self.load(handle, graph, example_inputs, 0, compile_range), handle)
