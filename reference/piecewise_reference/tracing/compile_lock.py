"""The lock that torch holds while it compiles.

What torch keeps while it compiles, such as settings that are patched for the time, belongs to the
process: two compiles that overlap disturb each other, whichever backends they are for. Dynamo takes
this lock to trace; a piece is compiled later, by the first call that needs it, and takes it again.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any


def compile_lock() -> AbstractContextManager[Any]:
    """Dynamo's own lock, one for the process; the thread that holds it may take it again."""
    from torch._dynamo import convert_frame  # imports Dynamo

    return convert_frame.compile_lock
