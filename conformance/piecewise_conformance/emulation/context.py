"""``emulate()``: inside, the CUDA-graph interface of torch works on CPU tensors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .current import current, under_way
from .device import Emulation
from .errors import StaticGraphError
from .mode import Watching
from .patches import patched
from .where import user_line


@contextmanager
def emulate(*watched: Any) -> Iterator[Emulation]:
    """Emulate a device with CUDA graphs on CPU tensors.

    ``watched`` are objects whose Python attributes, or lists, sets and dicts whose content, no
    capture may change: PythonEffect. Nothing stays patched afterwards. Not for several threads at
    once, and not inside itself.
    """
    if current() is not None:
        raise StaticGraphError(
            "an emulation is active already; emulations do not nest", where=user_line()
        )
    emulation = Emulation(watched)
    with patched(emulation), under_way(emulation):
        try:
            with Watching(emulation):
                yield emulation
        finally:
            emulation.abandon()
