"""CACHE: files that once were a cache file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from piecewise_conformance.core.marks import requirement, slow
from piecewise_conformance.core.verdict import Violation
from piecewise_conformance.subject.subject import Subject
from piecewise_conformance.testkit import spy
from piecewise_conformance.testkit.caches import corrupt_files, managers, snapshots
from piecewise_conformance.testkit.pieces import PieceCase, piece, times

RANGES = [(1, 8), (9, 9), (10, 64)]
# pairs of texts, as Inductor's own are: some caches keep no others
HANDLES: list[Any] = [("spy", "0"), ("a/b", "text with 'quotes'"), ("x", "two\nlines, a \\")]
TOTAL = 10_000
BATCH = 500


def _cases() -> list[PieceCase]:
    return [
        piece(lambda g, s, x: (g.call_function(torch.sin, (x,)),)),
        piece(lambda g, s, x: (g.call_function(torch.cos, (x,)),)),
        piece(lambda g, s, x: (g.call_function(torch.tanh, (x,)),)),
    ]


def _fill(subject: Subject, folder: Path, cases: list[PieceCase]) -> snapshots.Files:
    """A good folder with three pieces in three ranges; its content."""
    with spy.spying() as log:
        made = iter(HANDLES * len(RANGES))
        log.handle = lambda number: next(made)
        writer = managers.manager(subject, folder)
        for ends in RANGES:
            for index, case in enumerate(cases):
                writer.compile(case.gm, case.traced, ends, index, len(cases))
        writer.save()
    return snapshots.take(folder)


def _served(subject: Subject, folder: Path, cases: list[PieceCase], what: str) -> int:
    """A start on ``folder``: how many entries it loads, each with the handle it was stored with."""
    served = 0
    reader = managers.manager(subject, folder)
    for ends in RANGES:
        for index, case in enumerate(cases):
            with spy.spying() as log:
                if reader.load(case.gm, case.traced, ends, index) is None:
                    continue
            handles = [each.key for each in log.loads]
            if handles != [HANDLES[index]] or log.loads[0].range != ends:
                raise Violation(
                    f"the handle that is loaded from {what}",
                    expected=f"{HANDLES[index]!r} for piece {index} and {ends}, or a miss",
                    got=str([(each.key, each.range) for each in log.loads]),
                )
            served += 1
    return served


def sweep(subject: Subject, root: Path, numbers: range) -> int:
    """Start on each of the corrupt folders ``numbers``; the entries that were served in all."""
    cases, folder, trace = _cases(), root / "cache", root / "trace"
    folder.mkdir(exist_ok=True)
    good = _fill(subject, folder, cases)
    if _served(subject, folder, cases, "the valid file") != len(cases) * len(RANGES):
        raise Violation("the valid file", expected="every entry is loaded")
    if not (names := snapshots.some(good, most=len(good))):
        raise Violation("a cache with nine entries", expected="a file", got=str(sorted(good)))
    served = 0
    for number in numbers:
        name = names[number % len(names)]
        content = corrupt_files.mutated(good[name], number, str(trace))
        snapshots.put_back(folder, {**good, name: content})
        what = f"a cache where {name} is mutated file {number}, {content[:300]!r}"
        served += _served(subject, folder, cases, what)
        if trace.exists():
            raise Violation(f"code in {name} was executed", got=repr(content[:300]))
    return served


@requirement("CACHE-016")
@slow
@pytest.mark.parametrize("first", range(0, TOTAL, BATCH))
def test_mutated_files(subject: Subject, tmp_path: Path, first: int) -> None:
    """Of ten thousand files none fails a start, has its code run, or is served from wrongly."""
    sweep(subject, tmp_path, range(first, first + BATCH))


DAMAGE = {"cut": snapshots.cut, "emptied": snapshots.emptied, "flipped": snapshots.flipped}
BYTES = 40  # of a folder that are flipped, or that a file is cut at


class _Kept:
    """Three pieces that were saved in one folder, with handles that are long, as Inductor's own."""

    def __init__(
        self, subject: Subject, folder: Path, cases: list[PieceCase] | None = None
    ) -> None:
        self.subject, self.folder, self.cases = subject, folder, cases or _cases()
        with spy.spying() as log:
            log.handle = lambda number: ("spy", f"{number}-" * 40)
            writer = managers.manager(subject, folder)
            for index, case in enumerate(self.cases):
                writer.compile(case.gm, case.traced, RANGES[0], index, len(self.cases))
            writer.save()
        if len(log.made) != len(self.cases):
            raise Violation(
                "pieces that differ from all that the folder has artifacts of",
                expected=f"{len(self.cases)} compiled",
                got=f"{len(log.made)} compiled, {len(log.loads)} loaded",
            )
        self.handles = log.made
        self.files = managers.contents(folder)

    def start(self, files: snapshots.Files, what: str) -> None:
        """A start on ``files``: every piece is right, and each that is loaded has the handle that
        was stored for it.
        """
        snapshots.put_back(self.folder, files)
        reader = managers.manager(self.subject, self.folder)
        for index, (case, handle) in enumerate(zip(self.cases, self.handles, strict=True)):
            with spy.spying() as log:
                case.check(reader.compile(case.gm, case.traced, RANGES[0], index, len(self.cases)))
            if wrong := [each.key for each in log.loads if each.key != handle]:
                raise Violation(
                    f"the handle that is loaded after {what}",
                    expected=f"{handle!r}, or a miss",
                    got=str(wrong),
                )


@requirement("CACHE-016")
@slow
@pytest.mark.parametrize("kind", DAMAGE)
def test_any_file_damaged(subject: Subject, tmp_path: Path, kind: str) -> None:
    """Each file of the folder in turn, whatever the cache keeps in it."""
    kept = _Kept(subject, tmp_path)
    for what, files in snapshots.each_file(kept.files, DAMAGE[kind], BYTES):
        kept.start(files, what)


@requirement("CACHE-016")
@slow
def test_files_swapped(subject: Subject, tmp_path: Path) -> None:
    """Each two files of the folder."""
    kept = _Kept(subject, tmp_path)
    for what, files in snapshots.swapped(kept.files):
        kept.start(files, what)


@requirement("CACHE-016")
@slow
def test_files_deleted(subject: Subject, tmp_path: Path) -> None:
    """Each file of the folder."""
    kept = _Kept(subject, tmp_path)
    for what, files in snapshots.without(kept.files):
        kept.start(files, what)


@requirement("CACHE-016")
@slow
def test_older_files(subject: Subject, tmp_path: Path) -> None:
    """Each file as it was before other pieces took the place of those in it, and all of them."""
    before = _Kept(subject, tmp_path).files
    now = _Kept(subject, tmp_path, [times(2), times(3), times(5)])
    for what, files in snapshots.older(now.files, before):
        now.start(files, what)
