"""Processes that answer questions one by one, each with a line of JSON, in any interpreter.

A process that dies, or that is silent for too long, costs the question that it was at; the next
process goes on with those that are left.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import tempfile
import threading
from collections.abc import Callable, Sequence

SILENCE = 900.0  # seconds without a line after which a process is ended
TIMEOUT = "timeout"
NO_ANSWER = "no answer"

_HIDDEN = ("PYTHONPATH", "PYTHONHOME")


def clean_environment() -> dict[str, str]:
    """The environment for another interpreter, which is to see its own packages alone."""
    return {name: value for name, value in os.environ.items() if name not in _HIDDEN}


def answers(
    command: Callable[[Sequence[str]], Sequence[str]],
    names: Sequence[str],
    *,
    silence: float = SILENCE,
) -> dict[str, str]:
    """The answer to each of ``names``; for one without an answer, why there is none.

    ``command`` is the command line of a process that is asked several.
    """
    found: dict[str, str] = {}
    while left := [name for name in names if name not in found]:
        process = _Process(command(left), silence)
        found.update(process.answers)
        stopped = process.began or left[0]
        if stopped not in found:
            found[stopped] = process.why
    return found


def inconclusive(answer: str) -> bool:
    """Whether the process died or was ended, so that there is no answer."""
    return answer == TIMEOUT or answer.startswith(NO_ANSWER)


class _Process:
    """One process, until it ends. ``began`` is the last question that it was at."""

    def __init__(self, command: Sequence[str], silence: float) -> None:
        self.answers: dict[str, str] = {}
        self.began = ""
        self.why = ""
        with tempfile.TemporaryFile("w+") as errors:
            process = subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=clean_environment(),
            )
            lines: queue.Queue[str | None] = queue.Queue()
            threading.Thread(target=_read, args=(process, lines), daemon=True).start()
            try:
                while (line := lines.get(timeout=silence)) is not None:
                    self._take(line)
                status = process.wait()
                errors.seek(0)
                last = (errors.read().strip().splitlines() or ["no message"])[-1]
                self.why = f"{NO_ANSWER}: exit status {status}, {last[:120]}"
            except queue.Empty:
                self.why = TIMEOUT
            finally:
                process.kill()
                process.wait()

    def _take(self, line: str) -> None:
        try:
            said = json.loads(line)
        except ValueError:  # something that torch printed
            return
        if isinstance(said, dict) and "begin" in said:
            self.began = said["begin"]
        elif isinstance(said, dict) and "answer" in said:
            self.answers[said["name"]] = said["answer"]


def _read(process: subprocess.Popen[str], lines: queue.Queue[str | None]) -> None:
    assert process.stdout is not None
    with process.stdout as stream:
        for line in stream:
            lines.put(line)
    lines.put(None)
