"""What the emulator has to say against a program: each trap of static graphs is a class.

Real CUDA refuses some of it (an error names no op), and lets the rest pass in silence. Here both
are exceptions that name the op and the user's line.
"""

from __future__ import annotations


class StaticGraphError(RuntimeError):
    """Base of all. ``op`` is the op or call at fault, ``where`` the line of the user's code."""

    # For the harness: whoever is tested made this program, wherever the exception comes up.
    from_subject = "running static graphs"

    def __init__(self, message: str, *, op: str = "", where: str = "") -> None:
        self.op, self.where = op, where
        at = f" (at {where})" if where else ""
        super().__init__(f"{op}: {message}{at}" if op else f"{message}{at}")


class CaptureError(StaticGraphError):
    """A call that capture forbids, or one out of order: begin in a capture, replay before one."""


class HostSync(CaptureError):
    """The host waits for a value of the device while it records: there is none yet."""


class ForeignAllocation(CaptureError):
    """Memory that does not come from the graph's pool is asked for in a capture."""


class PythonEffect(CaptureError):
    """A capture changed Python state that the program said it would read: no replay repeats it."""


class DeadMemory(StaticGraphError):
    """Memory is read that nobody owns, or that was given to others since it was written."""


class StaleInput(StaticGraphError):
    """A replay reads the captured address, and the input that it was called with lies elsewhere."""


class NotEmulated(StaticGraphError):
    """Something that this emulator cannot repeat faithfully: never a verdict on a program."""

    from_subject = ""
