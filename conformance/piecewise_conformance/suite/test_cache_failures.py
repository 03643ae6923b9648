"""CACHE: saves and loads that fail are made up for, and told."""

from __future__ import annotations

import logging
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from piecewise_conformance.core.boundary import expect_refusal, may_refuse, whose
from piecewise_conformance.core.marks import requirement, slow
from piecewise_conformance.core.verdict import Violation
from piecewise_conformance.isolation.child import call_in_child
from piecewise_conformance.subject.subject import Subject
from piecewise_conformance.testkit import spy
from piecewise_conformance.testkit.caches import snapshots
from piecewise_conformance.testkit.caches.managers import (
    RANGE,
    costs,
    expect_work,
    fill,
    manager,
    start,
)
from piecewise_conformance.testkit.pieces import times


@contextmanager
def told(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], what: str
) -> Iterator[None]:
    """Inside, something must be told: by a warning, a log, a print or an error."""
    logged_before = len(caplog.records)
    capfd.readouterr()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield
        except Exception as error:
            if whose(error) is None:
                raise
            return
    logged = [each for each in caplog.records[logged_before:] if each.levelno >= logging.WARNING]
    # a logger that does not propagate writes past pytest
    if not caught and not logged and not any(capfd.readouterr()):
        raise Violation(what, expected="a warning, printed or logged", got="nothing")


@requirement("CACHE-018")
def test_failed_save_is_made_up_for(subject: Subject, tmp_path: Path) -> None:
    """What could not be written, with an error or without, is in the file after the next save."""
    folder, cases = tmp_path / "cache", [times(2), times(3)]
    folder.mkdir()
    with spy.spying():
        writer = manager(subject, folder)
        shutil.rmtree(folder)
        folder.write_text("no folder any more")
        # a manager may save what it compiles at once, or when it is told to
        writer.compile(cases[0].gm, cases[0].traced, RANGE, 0, 2)
        with may_refuse(True):
            writer.save()
        folder.unlink()
        folder.mkdir()
        writer.compile(cases[1].gm, cases[1].traced, RANGE, 1, 2)
        writer.save()
    log = start(subject, folder, *cases)
    expect_work(log, loads=2, compiles=0, what="after a save that failed and one that did not")


@requirement("CACHE-018")
@slow
def test_no_room(subject: Subject, tmp_path: Path) -> None:
    """A save that finds no room on the disk loses nothing that is there, and is made up for."""
    subject.get("CompilerManager")
    call_in_child(
        subject, "piecewise_conformance.testkit.caches.full_disk:save_without_room", str(tmp_path)
    )


@requirement("CACHE-023")
@slow
def test_what_a_failed_save_leaves(subject: Subject, tmp_path: Path) -> None:
    """The folder has as many files then as if there had always been room."""
    subject.get("CompilerManager")
    names, others = call_in_child(
        subject, "piecewise_conformance.testkit.caches.full_disk:files_of_saves", str(tmp_path)
    )
    if len(names) > len(others):
        raise Violation("files in the folder", expected=str(others), got=str(names))


@requirement("CACHE-019")
@pytest.mark.parametrize("content", [b"this is not Python", b"[1, 2]", b"{7: 7}"], ids=str)
def test_unreadable_file_is_told(
    subject: Subject,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    content: bytes,
) -> None:
    """Something tells of each file of a cache that cannot be read, and costs a piece."""
    case, folder = times(2), tmp_path / "cache"
    fill(subject, folder, case)
    files = snapshots.take(folder)
    for name in snapshots.some(files):
        snapshots.put_back(folder, {**files, name: content})
        if not costs(subject, folder, case):
            continue
        snapshots.put_back(folder, {**files, name: content})
        with told(caplog, capfd, f"a cache in which {name} cannot be read"), spy.spying():
            manager(subject, folder).compile(case.gm, case.traced, RANGE)


@requirement("CACHE-019")
def test_lost_artifact_is_told(
    subject: Subject,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """And of an artifact that cannot be loaded."""
    case = times(2)
    fill(subject, tmp_path, case)
    with told(caplog, capfd, "an artifact that cannot be loaded"), spy.spying() as log:
        log.fail_load = True
        manager(subject, tmp_path).compile(case.gm, case.traced, RANGE)


@requirement("CACHE-019")
def test_failed_save_is_told(
    subject: Subject,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """And of a save that wrote nothing, which may be an error, too."""
    folder, case = tmp_path / "cache", times(2)
    folder.mkdir()
    with spy.spying():
        writer = manager(subject, folder)
        shutil.rmtree(folder)
        folder.write_text("no folder any more")
        with told(caplog, capfd, "a save that could not write"):
            writer.compile(case.gm, case.traced, RANGE)
            writer.save()


@requirement("CACHE-008")
def test_failed_compile(subject: Subject, tmp_path: Path) -> None:
    """A failing compiler's error comes out, nothing is stored, and the next try succeeds."""
    case = times(2)
    with spy.spying() as log:
        first = manager(subject, tmp_path)
        log.fail = True
        with expect_refusal("a compile that fails", "the spy was told to fail"):
            first.compile(case.gm, case.traced, RANGE)
        if first.load(case.gm, case.traced, RANGE) is not None:
            raise Violation("a failed compile left an entry", expected="none", got="it is loaded")
        first.save()
        log.fail = False
        case.check(first.compile(case.gm, case.traced, RANGE))
        if log.loads:
            raise Violation("the next try", expected="a compile", got="a load")


@requirement("CACHE-008")
def test_start_after_a_failed_compile(subject: Subject, tmp_path: Path) -> None:
    """What a failed compile saved is nothing to a later start."""
    case = times(2)
    with spy.spying() as log:
        first = manager(subject, tmp_path)
        log.fail = True
        with expect_refusal("a compile that fails", "the spy was told to fail"):
            first.compile(case.gm, case.traced, RANGE)
        first.save()
    expect_work(start(subject, tmp_path, case), loads=0, compiles=1, what="the next start")


@requirement("CACHE-008")
def test_compile_of_nothing(subject: Subject, tmp_path: Path) -> None:
    """A compiler that returns nothing has failed: the graph does not run uncompiled instead."""
    case = times(2)
    with spy.spying() as log:
        first = manager(subject, tmp_path)
        log.compile_nothing = True
        with expect_refusal("a compile that returns nothing"):
            first.compile(case.gm, case.traced, RANGE)
        log.compile_nothing = False
        case.check(first.compile(case.gm, case.traced, RANGE))
