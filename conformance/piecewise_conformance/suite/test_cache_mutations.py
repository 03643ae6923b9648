"""CACHE: files that once were a cache file."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import torch
from piecewise_conformance.core.marks import requirement, slow
from piecewise_conformance.core.verdict import Violation
from piecewise_conformance.subject.subject import Subject
from piecewise_conformance.testkit import spy
from piecewise_conformance.testkit.caches import corrupt_files, managers
from piecewise_conformance.testkit.pieces import PieceCase, piece

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


def _fill(subject: Subject, folder: Path, cases: list[PieceCase]) -> bytes:
    """A good file with three pieces in three ranges; its content."""
    with spy.spying() as log:
        made = iter(HANDLES * len(RANGES))
        log.handle = lambda number: next(made)
        writer = managers.manager(subject, folder)
        for ends in RANGES:
            for index, case in enumerate(cases):
                writer.compile(case.gm, case.traced, ends, index, len(cases))
        writer.save()
    return managers.read_file(subject, folder).encode()


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
                    f"what is served of {what}",
                    expected=f"{HANDLES[index]!r} for piece {index} and {ends}, or a miss",
                    got=str([(each.key, each.range) for each in log.loads]),
                )
            served += 1
    return served


def sweep(subject: Subject, folder: Path, numbers: range) -> int:
    """Start on each of the files ``numbers``; the entries that were served in all."""
    cases = _cases()
    good = _fill(subject, folder, cases)
    trace = folder / "trace"
    if _served(subject, folder, cases, "the good file") != len(cases) * len(RANGES):
        raise Violation("the good file", expected="every entry is served")
    served = 0
    for number, content in zip(
        numbers, corrupt_files.mutated(good, numbers, str(trace)), strict=True
    ):
        managers.put_file(subject, folder, content)
        served += _served(subject, folder, cases, f"mutated file {number}, {content[:300]!r}")
        if trace.exists():
            raise Violation("code ran that lay in a cache file", got=repr(content[:300]))
    return served


@requirement("CACHE-016")
@slow
@pytest.mark.parametrize("first", range(0, TOTAL, BATCH))
def test_mutated_files(subject: Subject, tmp_path: Path, first: int) -> None:
    """Of ten thousand files none fails a start, has its code run, or is served from wrongly."""
    sweep(subject, tmp_path, range(first, first + BATCH))


def _flipped(good: bytes) -> Iterator[bytes]:
    for at in range(0, len(good), max(1, len(good) // 8)):
        yield good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :]


DAMAGE: dict[str, Callable[[bytes], Iterable[bytes]]] = {
    "cut": lambda good: (good[: len(good) * part // 4] for part in (1, 3)),
    "emptied": lambda good: [b""],
    "flipped": _flipped,
}


class _Kept:
    """Three pieces that were saved in one folder, with handles that are long, as Inductor's own."""

    def __init__(self, subject: Subject, folder: Path) -> None:
        self.subject, self.folder, self.cases = subject, folder, _cases()
        with spy.spying() as log:
            log.handle = lambda number: ("spy", f"{number}-" * 40)
            writer = managers.manager(subject, folder)
            for index, case in enumerate(self.cases):
                writer.compile(case.gm, case.traced, RANGES[0], index, len(self.cases))
            writer.save()
        self.handles = log.made
        self.files = managers.contents(folder)

    def start(self, damaged: dict[str, bytes], what: str) -> None:
        """A start where some files are ``damaged``: every piece is right, and each that is loaded
        has the handle that was stored for it.
        """
        shutil.rmtree(self.folder)
        for name, content in {**self.files, **damaged}.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        reader = managers.manager(self.subject, self.folder)
        for index, (case, handle) in enumerate(zip(self.cases, self.handles, strict=True)):
            with spy.spying() as log:
                case.check(reader.compile(case.gm, case.traced, RANGES[0], index, len(self.cases)))
            if wrong := [each.key for each in log.loads if each.key != handle]:
                raise Violation(
                    f"what is served after {what}",
                    expected=f"{handle!r}, or a miss",
                    got=str(wrong),
                )


@requirement("CACHE-016")
@slow
@pytest.mark.parametrize("kind", DAMAGE)
def test_any_file_damaged(subject: Subject, tmp_path: Path, kind: str) -> None:
    """Each file of the folder in turn, whatever the cache keeps in it."""
    kept = _Kept(subject, tmp_path)
    for name, good in kept.files.items():
        for number, bad in enumerate(DAMAGE[kind](good)):
            kept.start({name: bad}, f"{name} was {kind} ({number})")


@requirement("CACHE-016")
@slow
def test_files_swapped(subject: Subject, tmp_path: Path) -> None:
    """Each two files of the folder."""
    kept = _Kept(subject, tmp_path)
    for one, other in combinations(kept.files, 2):
        damaged = {one: kept.files[other], other: kept.files[one]}
        kept.start(damaged, f"{one} and {other} were swapped")
