"""CACHE: files that once were a cache file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from piecewise_conformance import cache_mutations, caching, spy
from piecewise_conformance.marks import requirement, slow
from piecewise_conformance.pieces import PieceCase, piece
from piecewise_conformance.subject import Subject
from piecewise_conformance.verdict import Violation

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
        writer = caching.manager(subject, folder)
        for ends in RANGES:
            for index, case in enumerate(cases):
                writer.compile(case.gm, case.traced, ends, index, len(cases))
        writer.save()
    return caching.read_file(subject, folder).encode()


def _served(subject: Subject, folder: Path, cases: list[PieceCase], what: str) -> int:
    """A start on ``folder``: how many entries it loads, each with the handle it was stored with."""
    served = 0
    reader = caching.manager(subject, folder)
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
        numbers, cache_mutations.mutated(good, numbers, str(trace)), strict=True
    ):
        caching.put_file(subject, folder, content)
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
