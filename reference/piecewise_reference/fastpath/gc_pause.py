"""Make many objects that all stay, without the garbage collector looking at them meanwhile."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def gc_paused() -> Iterator[None]:
    """Keep the garbage collector from walking, again and again, over objects that all stay.

    It takes its time, and the more the larger the process. The plain way is nothing at all.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
