"""Processes that write into one cache folder, some of which are killed.

``python -m piecewise_conformance.fire`` (internal) reads one JSON object from standard input: the
SPEC of the subject, the folder, the first index and the number of entries. It compiles and saves
one entry after another, and writes a line for each save that has finished.
"""

from __future__ import annotations

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
    with spy.spying() as log:
        manager = caching.manager(subject, folder)
        for index in range(first, first + count):
            log.handle = partial(_handle, index)
            case = entry(index)
            manager.compile(case.gm, case.traced, caching.RANGE, index, 1_000_000)
            manager.save()
            print(index, flush=True)


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
    process.stdin.write(json.dumps(request))
    process.stdin.close()
    return process


def saved_until(process: subprocess.Popen[str], index: int) -> None:
    """Wait until the process has told that it saved ``index``; a Violation if it ends before."""
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) >= index:
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

    request = json.loads(sys.stdin.read())
    subject = load_subject(request["spec"])
    write(subject, Path(request["folder"]), request["first"], request["count"])


if __name__ == "__main__":
    main()
