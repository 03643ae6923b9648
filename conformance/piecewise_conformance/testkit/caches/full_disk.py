"""A disk without room, and a cache on it.

What is here is for a process of its own: the harness, too, could write nothing meanwhile.
"""

from __future__ import annotations

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...core.boundary import may_refuse
from ...subject.facets import Manager
from ...subject.subject import Subject
from .. import spy
from ..pieces import PieceCase, times
from .managers import RANGE, contents, expect_work, fill, manager, start


@contextmanager
def full_disk() -> Iterator[None]:
    """Inside, no byte can be written to a file: the system refuses, as where there is no room."""
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # or the process is killed
    room, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, most))
        signal.signal(signal.SIGXFSZ, before)


def save_without_room(subject: Subject, root: str) -> None:
    """One entry is saved, the next finds no room, and then there is room again.

    Raises Violation if an entry is not there that should be.
    """
    cases = [times(2), times(3)]
    folder = Path(root)
    fill(subject, folder, cases[0])
    with spy.spying():
        writer = _without_room(subject, folder, cases[1])
    what = "an entry that was saved before there was no room"
    expect_work(start(subject, folder, cases[0]), loads=1, compiles=0, what=what)
    with spy.spying():
        writer.save()
    expect_work(start(subject, folder, *cases), loads=2, compiles=0, what="after a save with room")


def files_of_saves(subject: Subject, root: str) -> list[list[str]]:
    """The files of a folder after saves with and without room, and of one that had room always."""
    folders = [Path(root) / "full", Path(root) / "roomy"]
    for folder in folders:
        folder.mkdir()
        fill(subject, folder, times(2))
    with spy.spying():
        writer = _without_room(subject, folders[0], times(3))
        writer.save()
    fill(subject, folders[1], times(2), times(3))
    return [sorted(contents(folder)) for folder in folders]


def _without_room(subject: Subject, folder: Path, case: PieceCase) -> Manager:
    """The manager that compiled ``case`` as piece 1, and could not save it."""
    writer = manager(subject, folder)
    # a manager may save what it compiles at once, or when it is told to
    with full_disk():
        writer.compile(case.gm, case.traced, RANGE, 1, 2)
        for _ in range(3):
            with may_refuse(True):
                writer.save()
    return writer
