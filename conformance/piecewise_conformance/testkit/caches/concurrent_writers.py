"""Processes that write into one cache folder, some of which are killed, and some stopped midway.

Such a process compiles and saves one entry after another, and tells of each save that has finished.
The last save it makes in steps: it says where it is, and goes on when it is told to. What two
processes do to each other then does not depend on luck.
"""

from __future__ import annotations

import os
import sys
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

from ...core.verdict import Violation
from ...isolation.fork_server import Fresh
from ...subject.subject import Subject
from .. import spy
from ..pieces import PieceCase, times
from . import managers


def entry(index: int) -> PieceCase:
    """The piece that is stored at ``index``: no two compute the same."""
    return times(index + 2)


def _handle(index: int, number: int) -> tuple[str, int]:
    """A handle that no other process gives: one that loads it finds the graph at hand."""
    return "fire", index


READY, WAITING, REPLACING = "ready", "waiting", "replacing"
_WAITS = ("fcntl.flock", "fcntl.lockf", "time.sleep")


def write(connection: Connection, spec: str, folder: str, first: int, count: int) -> None:
    """In a process: compile and save ``count`` entries from index ``first`` on, and tell of each.

    ``spec`` is that of the subject.
    """
    from ...subject.loading import load_subject

    subject = load_subject(spec)
    steps = _Steps(connection, folder)
    sys.addaudithook(steps)
    with spy.spying() as log:
        manager = managers.manager(subject, Path(folder))
        for index in range(first, first + count):
            log.handle = partial(_handle, index)
            case = entry(index)
            manager.compile(case.gm, case.traced, managers.RANGE, index, 1_000_000)
            steps.on = index == first + count - 1
            steps.at(READY)
            manager.save()
            steps.on = False
            connection.send(index)


class _Steps:
    """An audit hook that tells of a save when it first waits, and stops it at its first rename.

    Until its rename a save may have read what others wrote, and has shown nothing of its own. One
    that neither waits nor renames goes through.
    """

    def __init__(self, connection: Connection, folder: str) -> None:
        self.connection = connection
        self.folder = os.path.realpath(folder)
        self.on = False
        self.told: set[str] = set()

    def __call__(self, event: str, args: tuple[object, ...]) -> None:
        if not self.on:
            return
        if event in _WAITS and WAITING not in self.told:
            self.told.add(WAITING)
            self.connection.send(WAITING)
        elif event == "os.rename" and REPLACING not in self.told:
            where = os.path.realpath(os.fsdecode(args[1]))  # type: ignore[arg-type]
            if where.startswith(self.folder + os.sep):
                self.told.add(REPLACING)
                self.at(REPLACING)

    def at(self, word: str) -> None:
        """Say where the process is, and wait until it is told to go on."""
        if self.on:
            self.connection.send(word)
            self.connection.recv()


def start(subject: Subject, folder: Path, first: int, count: int) -> Fresh:
    """A process that does ``write``."""
    what = "piecewise_conformance.testkit.caches.concurrent_writers:write"
    return Fresh(what, subject.origin, str(folder), first, count)


def go_on(process: Fresh) -> None:
    """Let a process that says where it is, or is going to, go on from there."""
    process.send("go on")  # it may be at its end, and not have stopped


def until(process: Fresh, *wanted: str | int) -> str | int:
    """Wait until the process has said one of ``wanted``; a Violation if it ends before."""
    try:
        while (told := process.receive()) not in wanted:
            pass
    except EOFError:
        raise Violation(
            "a process that writes to a shared cache",
            expected=f"it reaches {' or '.join(map(str, wanted))}",
            got="it ended",
        ) from None
    answer: str | int = told
    return answer


def overlap(first: Fresh, second: Fresh, lasts: tuple[int, int]) -> None:
    """The last saves of both, the second begun while the first is stopped; ``lasts`` are theirs."""
    for process in (first, second):
        until(process, READY)
    go_on(first)
    told = [until(first, REPLACING, lasts[0])]
    go_on(second)
    told.append(until(second, WAITING, REPLACING, lasts[1]))
    for process, word, last in zip((first, second), told, lasts, strict=True):
        go_on(process)
        if word != last:  # else it neither waited nor renamed, and is through
            until(process, last)


def saved_until(process: Fresh, index: int) -> None:
    """Wait until the process has told that it saved ``index``; a Violation if it ends before."""
    try:
        while not isinstance(saved := process.receive(), int) or saved < index:
            pass
    except EOFError:
        raise Violation(
            "a process that writes to a shared cache",
            expected=f"it saves {index}",
            got="it ended",
        ) from None


def served(subject: Subject, folder: Path, indices: range) -> list[int]:
    """A start on the folder: which of ``indices`` are loaded; each is checked."""
    with spy.spying():
        reader = managers.manager(subject, folder)
        found = []
        for index in indices:
            case = entry(index)
            runnable = reader.load(case.gm, case.traced, managers.RANGE, index)
            if runnable is not None:
                case.check(runnable)
                found.append(index)
    return found
