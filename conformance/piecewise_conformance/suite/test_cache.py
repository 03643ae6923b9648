"""CACHE: what was saved is loaded, by managers that share a folder."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
from piecewise_conformance.core.marks import requirement
from piecewise_conformance.core.verdict import Violation
from piecewise_conformance.subject.subject import Subject
from piecewise_conformance.testkit import spy
from piecewise_conformance.testkit.caches import snapshots
from piecewise_conformance.testkit.caches.managers import (
    RANGE,
    contents,
    expect_work,
    fill,
    manager,
    start,
)
from piecewise_conformance.testkit.pieces import times


@requirement("CACHE-001")
def test_warm_start(subject: Subject, tmp_path: Path) -> None:
    """Three pieces saved are three pieces loaded, by the next start and the one after it."""
    cases = [times(2), times(3), times(5)]
    fill(subject, tmp_path, *cases)
    for _ in range(2):
        expect_work(start(subject, tmp_path, *cases), loads=3, compiles=0, what="a warm start")


@requirement("CACHE-001")
def test_part_of_it_is_new(subject: Subject, tmp_path: Path) -> None:
    """A start that needs one piece more compiles that one, and the next start has it too."""
    fill(subject, tmp_path, times(2))
    cases = [times(2), times(3)]
    with spy.spying() as log:
        second = manager(subject, tmp_path)
        for index, case in enumerate(cases):
            second.compile(case.gm, case.traced, RANGE, index, 2)
        second.save()
    expect_work(log, loads=1, compiles=1, what="a start with one new piece")
    expect_work(start(subject, tmp_path, *cases), loads=2, compiles=0, what="the start after it")


@requirement("CACHE-001")
def test_what_replaced_another(subject: Subject, tmp_path: Path) -> None:
    """A piece compiled where another one was stored before is loaded by the next start."""
    fill(subject, tmp_path, times(2), times(3))
    fill(subject, tmp_path, times(5), times(3))
    log = start(subject, tmp_path, times(5), times(3))
    expect_work(log, loads=2, compiles=0, what="a start after a piece was replaced")


@requirement("CACHE-005")
def test_disabled_cache(subject: Subject, tmp_path: Path) -> None:
    """A disabled cache loads nothing of a full folder, and leaves every file as it is."""
    case = times(2)
    fill(subject, tmp_path, case)
    before = contents(tmp_path)
    with spy.spying() as log:
        off = manager(subject, tmp_path, disable=True)
        case.check(off.compile(case.gm, case.traced, RANGE, 0, 2))
        off.compile(times(3).gm, times(3).traced, RANGE, 1, 2)
        off.save()
    expect_work(log, loads=0, compiles=2, what="with the cache disabled")
    if contents(tmp_path) != before:
        raise Violation(
            "files changed", expected=str(list(before)), got=str(list(contents(tmp_path)))
        )


@requirement("CACHE-005")
def test_disabled_cache_in_no_folder(subject: Subject, tmp_path: Path) -> None:
    """With the cache disabled the folder need not exist, and is not made."""
    folder = tmp_path / "absent"
    with spy.spying():
        off = manager(subject, folder, disable=True)
        times(2).check(off.compile(times(2).gm, times(2).traced, RANGE))
        off.save()
    if folder.exists():
        raise Violation("a disabled cache created its folder")


class _Untouched:
    """The files of a cache, which nothing may write: content, file and time stay as they are.

    A cache may set the time of a file that it reads, for instance to know which was used last.
    """

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.touched: set[int] = set()
        self.files = snapshots.take(folder)
        hour_ago = time.time() - 3600  # so that the next write shows; long ago might be too old
        for name in self.files:
            os.utime(folder / name, (hour_ago, hour_ago))
        self.before = self._stamps()
        utime = os.utime

        def noted(path: Any, *args: Any, **kwargs: Any) -> None:
            self.touched.add(os.stat(path).st_ino)
            utime(path, *args, **kwargs)

        monkeypatch.setattr(os, "utime", noted)

    def _stamps(self) -> dict[str, tuple[int, int]]:
        # an empty file may be a lock
        found = {
            name: (self.folder / name).stat()
            for name, content in snapshots.take(self.folder).items()
            if content
        }
        return {
            name: (each.st_ino, 0 if each.st_ino in self.touched else each.st_mtime_ns)
            for name, each in found.items()
        }

    def check(self, what: str) -> None:
        """Raise Violation if a file was written."""
        after, now = self._stamps(), snapshots.take(self.folder)
        changed = [
            name
            for name in sorted({*self.before, *after})
            if self.files.get(name) != now.get(name)
            or self.before.get(name, (0, 0))[0] != after.get(name, (0, 0))[0]
            or (after[name][1] and self.before[name][1] != after[name][1])
        ]
        if changed:
            raise Violation(
                f"{what} wrote to the cache folder", expected="nothing", got=str(changed)
            )


@requirement("CACHE-006")
def test_nothing_new(subject: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A warm start that saves leaves every file's content, time and inode alone."""
    fill(subject, tmp_path, times(2))
    files = _Untouched(tmp_path, monkeypatch)
    fill(subject, tmp_path, times(2))
    files.check("a warm start in which nothing was new")


@requirement("CACHE-006")
def test_saving_twice(subject: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second of two saves in a row writes nothing."""
    with spy.spying():
        writer = manager(subject, tmp_path)
        writer.compile(times(2).gm, times(2).traced, RANGE)
        writer.save()
        files = _Untouched(tmp_path, monkeypatch)
        writer.save()
    files.check("a second save without anything new")


@requirement("CACHE-007")
def test_save_beside_a_reader(subject: Subject, tmp_path: Path) -> None:
    """Who opened the cache before another saves still loads all that was there."""
    cases = [times(2), times(3)]
    fill(subject, tmp_path, *cases)
    with spy.spying() as log:
        reader = manager(subject, tmp_path)
        fill(subject, tmp_path, *cases, times(5), times(7))
        for index, case in enumerate(cases):
            runnable = reader.load(case.gm, case.traced, RANGE, index)
            if runnable is None:
                raise Violation(
                    f"piece {index}, stored before the manager opened the cache and another saved",
                    expected="it is loaded",
                    got="it is missing",
                )
            case.check(runnable)
    if log.compiles:
        raise Violation("a load compiled", got=str(len(log.compiles)))


@requirement("CACHE-024")
def test_nothing_is_left_behind(subject: Subject, tmp_path: Path) -> None:
    """Saves do not fill the folder with temporary files; a backup or two may stay."""
    names: list[set[str]] = []
    for number in range(8):
        fill(subject, tmp_path, times(2 + number % 2))  # each takes the other's place
        names.append(set(contents(tmp_path)))
    early, late = names[3], names[-1]
    if len(late) > len(early):
        raise Violation(
            "files after eight saves", expected=f"as after four, {sorted(early)}", got=str(late)
        )


@requirement("CACHE-011")
def test_artifact_is_gone(subject: Subject, tmp_path: Path) -> None:
    """If the compiler cannot load what a handle stands for, the piece is compiled."""
    case = times(2)
    fill(subject, tmp_path, case)
    with spy.spying() as log:
        log.fail_load = True
        reader = manager(subject, tmp_path)
        case.check(reader.compile(case.gm, case.traced, RANGE))
    expect_work(log, loads=0, compiles=1, what="an artifact that cannot be loaded")


@requirement("CACHE-011")
def test_compiler_loads_nothing(subject: Subject, tmp_path: Path) -> None:
    """So too if it gives None; the new artifact takes the place of the one that is gone."""
    case = times(2)
    fill(subject, tmp_path, case)
    with spy.spying() as log:
        log.load_nothing = True
        reader = manager(subject, tmp_path)
        case.check(reader.compile(case.gm, case.traced, RANGE))
        reader.save()
    expect_work(log, loads=0, compiles=1, what="a compiler that loads None")
    again = start(subject, tmp_path, case)
    expect_work(again, loads=1, compiles=0, what="the start after it")
    if [call.key for call in again.loads] != log.made:
        raise Violation(
            "the handle that is loaded after the new compile",
            expected=str(log.made),
            got=str([call.key for call in again.loads]),
        )


@requirement("CACHE-022")
@pytest.mark.parametrize("umask", [0o022, 0o002, 0o077])
def test_umask(subject: Subject, tmp_path: Path, umask: int) -> None:
    """The files of the cache, and those that took their place, may be read as any new file."""
    folder, plain = tmp_path / "cache", tmp_path / "plain"
    before = os.umask(umask)
    try:
        plain.touch()
        for cases in ([times(2)], [times(2), times(3)]):
            fill(subject, folder, *cases)
            usual = _readers(plain)
            found = {name: _readers(folder / name) for name in contents(folder)}
            if wrong := {name: mode for name, mode in found.items() if mode != usual}:
                raise Violation("permissions of the cache files", expected=usual, got=str(wrong))
    finally:
        os.umask(before)


def _readers(path: Path) -> str:
    """The permissions to read ``path``, in octal."""
    return oct(path.stat().st_mode & 0o444)


@requirement("CACHE-013")
def test_two_writers(subject: Subject, tmp_path: Path) -> None:
    """Managers that both opened an empty folder, and save one after the other, both have effect."""
    cases = [times(2), times(3), times(5)]
    with spy.spying():
        writers = [manager(subject, tmp_path) for _ in cases]
        for index, (writer, case) in enumerate(zip(writers, cases, strict=True)):
            writer.compile(case.gm, case.traced, RANGE, index, 3)
        for writer in writers:
            writer.save()
    expect_work(start(subject, tmp_path, *cases), loads=3, compiles=0, what="three writers")
