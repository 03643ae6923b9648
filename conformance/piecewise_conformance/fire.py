"""Processes that write into one cache folder, some of which are killed, and some stopped midway.

``python -m piecewise_conformance.fire`` (internal) reads one JSON object from the first line of
standard input: the SPEC of the subject, the folder, the first index and the number of entries. It
compiles and saves one entry after another, and writes a line for each save that has finished. The
last save it makes in steps: it says where it is, and goes on with the next line of input. What two
processes do to each other then does not depend on luck.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

from . import caching, spy
from .pieces import PieceCase, times
from .subject import Subject
from .verdict import Violation


def entry(index: int) -> PieceCase:
    """The piece that is stored at ``index``: no two compute the same."""
    return times(index + 2)


def _handle(index: int, number: int) -> tuple[str, int]:
    """A handle that no other process gives: one that loads it finds the graph at hand."""
    return "fire", index


def write(subject: Subject, folder: Path, first: int, count: int) -> None:
    """Compile and save ``count`` entries from index ``first`` on; a line for each finished save."""
    steps = _Steps(folder)
    sys.addaudithook(steps)
    with spy.spying() as log:
        manager = caching.manager(subject, folder)
        for index in range(first, first + count):
            log.handle = partial(_handle, index)
            case = entry(index)
            manager.compile(case.gm, case.traced, caching.RANGE, index, 1_000_000)
            steps.on = index == first + count - 1
            steps.at(READY)
            manager.save()
            steps.on = False
            print(index, flush=True)


READY, WAITING, REPLACING = "ready", "waiting", "replacing"
_WAITS = ("fcntl.flock", "fcntl.lockf", "time.sleep")


class _Steps:
    """An audit hook that tells of a save when it first waits, and stops it at its first rename.

    Until its rename a save may have read what others wrote, and has shown nothing of its own. One
    that neither waits nor renames goes through.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = os.path.realpath(folder)
        self.on = False
        self.told: set[str] = set()

    def __call__(self, event: str, args: tuple[object, ...]) -> None:
        if not self.on:
            return
        if event in _WAITS and WAITING not in self.told:
            self.told.add(WAITING)
            print(WAITING, flush=True)
        elif event == "os.rename" and REPLACING not in self.told:
            where = os.path.realpath(os.fsdecode(args[1]))  # type: ignore[arg-type]
            if where.startswith(self.folder + os.sep):
                self.told.add(REPLACING)
                self.at(REPLACING)

    def at(self, word: str) -> None:
        """Say where the process is, and wait until it is told to go on."""
        if self.on:
            print(word, flush=True)
            sys.stdin.readline()


def start(subject: Subject, folder: Path, first: int, count: int) -> subprocess.Popen[str]:
    """A process that does ``write``."""
    path = os.pathsep.join([each for each in sys.path if each])
    process = subprocess.Popen(
        [sys.executable, "-m", "piecewise_conformance.fire"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # a pipe would fill up unread
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert process.stdin is not None
    request = {"spec": subject.origin, "folder": str(folder), "first": first, "count": count}
    process.stdin.write(json.dumps(request) + "\n")
    process.stdin.flush()
    return process


def go_on(process: subprocess.Popen[str]) -> None:
    """Let a process that says where it is, or is going to, go on from there."""
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):  # it did not stop, and is at its end
        process.stdin.write("\n")
        process.stdin.flush()


def until(process: subprocess.Popen[str], *words: str) -> str:
    """Wait until the process has said one of ``words``; a Violation if it ends before."""
    assert process.stdout is not None
    for line in process.stdout:
        if (word := line.strip()) in words:
            return word
    raise Violation(
        "a process that writes into a shared cache",
        expected=f"it comes to {' or '.join(words)}",
        got="it ended",
    )


def end(process: subprocess.Popen[str]) -> None:
    """Kill the process, if there is need, and leave nothing of it."""
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        assert pipe is not None
        with contextlib.suppress(BrokenPipeError):
            pipe.close()


def overlap(
    first: subprocess.Popen[str], second: subprocess.Popen[str], lasts: tuple[int, int]
) -> None:
    """The last saves of both, the second begun while the first is stopped; ``lasts`` are theirs."""
    for process in (first, second):
        until(process, READY)
    go_on(first)
    until(first, REPLACING, str(lasts[0]))
    go_on(second)
    until(second, WAITING, REPLACING, str(lasts[1]))
    for process, last in zip((first, second), lasts, strict=True):
        go_on(process)
        if process.poll() is None:
            until(process, str(last))


def saved_until(process: subprocess.Popen[str], index: int) -> None:
    """Wait until the process has told that it saved ``index``; a Violation if it ends before."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip().isdigit() and int(line) >= index:
            return
    raise Violation(
        "a process that writes into a shared cache", expected=f"it saves {index}", got="it ended"
    )


def served(subject: Subject, folder: Path, indices: range) -> list[int]:
    """A start on the folder: which of ``indices`` are loaded; each is checked."""
    with spy.spying():
        reader = caching.manager(subject, folder)
        found = []
        for index in indices:
            case = entry(index)
            runnable = reader.load(case.gm, case.traced, caching.RANGE, index)
            if runnable is not None:
                case.check(runnable)
                found.append(index)
    return found


def main() -> None:
    """Serve one request."""
    from .loading import load_subject

    request = json.loads(sys.stdin.readline())
    subject = load_subject(request["spec"])
    write(subject, Path(request["folder"]), request["first"], request["count"])


if __name__ == "__main__":
    main()
