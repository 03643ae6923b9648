"""The lock that torch holds while it compiles.

While torch compiles, it changes state of the process, such as patched settings, so two overlapping
compiles disturb each other, even for different backends. Dynamo holds this lock while it traces. A
piece is compiled later, by the first call that needs it, and acquires the lock again.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any


def compile_lock() -> AbstractContextManager[Any]:
    """Dynamo's own lock: one for each process, and reentrant."""
    from torch._dynamo import convert_frame  # imports Dynamo

    return convert_frame.compile_lock
