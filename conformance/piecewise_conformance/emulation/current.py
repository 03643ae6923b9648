"""The emulation under way, and what streams, captures and patches ask of it.

This module is below all the others that need the emulation, so none of them imports another one
only to find it. The emulation is typed as ``Any``: its class is built from those modules.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .errors import CaptureError, HostSync, StaticGraphError
from .where import user_line

_current: Any = None  # a device.Emulation


@contextmanager
def under_way(emulation: Any) -> Iterator[None]:
    """Make ``emulation`` the one under way."""
    global _current
    _current = emulation
    try:
        yield
    finally:
        _current = None


def current() -> Any:
    """The emulation under way, or None."""
    return _current


def need() -> Any:
    """The emulation under way; StaticGraphError if it is over."""
    if _current is None:
        raise StaticGraphError(
            "the object belongs to an emulation that has ended", where=user_line()
        )
    return _current


def current_stream(device: Any = None) -> Any:
    """``torch.cuda.current_stream``."""
    return need().stream_stack[-1]


def host_waits(what: str) -> None:
    """HostSync if the host waits for the device in a capture."""
    if _in_capture():
        _current.capture.refuse(
            HostSync("the host synchronizes in a capture", op=what, where=user_line())
        )


def forbid_in_capture(what: str, why: str) -> None:
    """CaptureError in a capture."""
    if _in_capture():
        _current.capture.refuse(CaptureError(why, op=what, where=user_line()))


def _in_capture() -> bool:
    return _current is not None and _current.capture is not None and not _current.is_resting
