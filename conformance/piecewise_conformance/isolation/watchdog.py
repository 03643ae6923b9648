"""The watch over a worker: what its process leaves behind when it hangs or dies.

Python's faulthandler writes from a thread of its own, in C: it works also while the subject holds
the interpreter's lock or loops in native code. A worker that is past its time ends itself.
"""

from __future__ import annotations

import contextlib
import datetime
import faulthandler
import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any, NoReturn

from ..core.verdict import Status

_FRAMES = 15
_GRACE = 2.0  # seconds for an alarm to do its work


def stack_file(folder: Path, worker: str) -> Path:
    """Where the worker of that name writes its last words."""
    return folder / f"stack-{worker}.txt"


class Watch:
    """Kept by a worker: a limit on the time of each test."""

    def __init__(self, path: Path, seconds: float) -> None:
        self.seconds = seconds
        clock = path.with_name(path.name.replace("stack-", "clock-", 1))
        self.clock = clock.open("wb", buffering=0)
        self.file = path.open("w")  # stays open: faulthandler has no more than its descriptor
        faulthandler.enable(self.file, all_threads=False)

    def begin(self) -> None:
        """Start the clock of one test."""
        self._tell(f"{os.getpid()} {time.monotonic()}")
        faulthandler.dump_traceback_later(self.seconds, exit=True, file=self.file)

    def end(self) -> None:
        """Stop it."""
        faulthandler.cancel_dump_traceback_later()
        self._tell("")

    def close(self) -> None:
        """Close the files, in a fork that keeps another watch."""
        self.file.close()
        self.clock.close()

    def out_of_memory(self, limit: int) -> NoReturn:
        """End the process, which what the subject still holds has made useless."""
        self.file.write(f"Memory ({limit} MiB)")
        self.file.flush()
        os._exit(1)

    def _tell(self, text: str) -> None:
        # One write of one length: a reader sees the old text or the new, and it costs no file.
        os.pwrite(self.clock.fileno(), text.ljust(64).encode(), 0)


def end_with(runner: int) -> None:
    """End this process and its whole group soon after ``runner``, its parent, has ended.

    What a killed run leaves behind must not write into the report that ``--resume`` goes on with.
    """

    def wait() -> None:
        never = threading.Event()
        while os.getppid() == runner:
            never.wait(0.2)
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=wait, name="piecewise-runner-watch", daemon=True).start()


def kill_overdue(folder: Path, seconds: float) -> None:
    """Kill workers that are long past their time: a subject may have called off their own alarm."""
    for clock in folder.glob("clock-*.txt"):
        try:
            told = clock.read_text().split()
        except FileNotFoundError:  # its process has ended
            continue
        if told and time.monotonic() - float(told[1]) > 1.5 * seconds + _GRACE:
            clock.write_text("")
            limit = datetime.timedelta(seconds=seconds)
            words = f"Timeout ({limit})! The subject cancelled the alarm."
            stack_file(folder, clock.stem.removeprefix("clock-")).write_text(words)
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(told[0]), signal.SIGKILL)


def why_dead(path: Path, returncode: int | None) -> tuple[Status, str]:
    """Whether a dead process hung or crashed, and a message that says how.

    ``path`` is what it wrote last, ``returncode`` as of ``Popen``: negative for a signal.
    """
    text = path.read_text(errors="replace") if path.exists() else ""
    stack = _main_stack(text)
    if text.startswith("Timeout ("):
        limit = text[len("Timeout (") :].partition(")")[0]
        where = f"; it was at\n{stack}" if stack else "; the subject had cancelled the alarm"
        return Status.TIMEOUT, f"not finished after {limit} (h:mm:ss){where}"
    if text.startswith("Memory ("):
        limit = text[len("Memory (") :].partition(")")[0]
        return Status.CRASH, f"the process asked for more memory than --memory allows ({limit})"
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
