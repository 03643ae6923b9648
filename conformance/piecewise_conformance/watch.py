"""The watch over a worker: what its process leaves behind when it hangs or dies.

Python's faulthandler writes from a thread of its own, in C: it works also while the subject holds
the interpreter's lock or loops in native code. A worker that is past its time ends itself.
"""

from __future__ import annotations

import contextlib
import faulthandler
import signal
import subprocess
from pathlib import Path
from typing import Any

from .verdict import Status

_FRAMES = 15


def stack_file(folder: Path, worker: str) -> Path:
    """Where the worker of that name writes its last words."""
    return folder / f"stack-{worker}.txt"


class Watch:
    """Kept by a worker: a limit on the time of each test."""

    def __init__(self, path: Path, seconds: float) -> None:
        self.seconds = seconds
        self.file = path.open("w")  # stays open: faulthandler has no more than its descriptor
        faulthandler.enable(self.file, all_threads=False)

    def begin(self) -> None:
        """Start the clock of one test."""
        faulthandler.dump_traceback_later(self.seconds, exit=True, file=self.file)

    def end(self) -> None:
        """Stop it."""
        faulthandler.cancel_dump_traceback_later()


def why_dead(path: Path, returncode: int | None) -> tuple[Status, str]:
    """Whether a dead process hung or crashed, and a message that says how.

    ``path`` is what it wrote last, ``returncode`` as of ``Popen``: negative for a signal.
    """
    text = path.read_text(errors="replace") if path.exists() else ""
    stack = _main_stack(text)
    if text.startswith("Timeout ("):
        limit = text[len("Timeout (") :].partition(")")[0]
        return Status.TIMEOUT, f"no end after {limit} (h:mm:ss); it was at\n{stack}"
    return Status.CRASH, how_ended(returncode) + (f"; it was at\n{stack}" if stack else "")


def how_ended(returncode: int | None) -> str:
    """The end of a process in words."""
    if returncode is None:
        return "the process died"
    if returncode >= 0:
        return f"the process ended itself with exit status {returncode} (os._exit?)"
    with contextlib.suppress(ValueError):
        name = signal.Signals(-returncode).name
        more = " (out of memory?)" if name == "SIGKILL" else ""
        return f"the process died from {name}{more}"
    return f"the process died from signal {-returncode}"


def _main_stack(text: str) -> str:
    """The innermost frames of the main thread, which faulthandler writes last."""
    blocks = text.split("(most recent call first):")
    frames = [line for line in blocks[-1].splitlines() if line.strip().startswith("File ")]
    inner: list[str] = []
    for line in frames:
        if "/_pytest/" in line or "/pluggy/" in line:
            break
        inner.append(line)
    return "\n".join(inner[:_FRAMES])


def returncode_of(node: Any) -> int | None:
    """How the process of an xdist worker ended. Its handle is an inner part of execnet."""
    process = getattr(getattr(node.gateway, "_io", None), "popen", None)
    if process is None:
        return None
    try:
        code: int = process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        return None
    return code
