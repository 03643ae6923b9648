"""A subject that raises, whatever it is asked."""

from __future__ import annotations

from typing import Any


def _raise(*args: Any, **kwargs: Any) -> Any:
    raise RuntimeError("not today")


split_graph = Range = CompilerManager = make_compiler = make_copy_and_call = _raise
make_config = make_backend = record_events = _raise
ABILITIES = (
    "eager",
    "splitting",
    "custom-compiler",
    "compile-ranges",
    "cache",
    "seed-layout",
    "copy-inputs",
)
