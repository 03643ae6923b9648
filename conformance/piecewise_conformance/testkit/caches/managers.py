"""A folder, managers on it that compile with the spy, and what they did."""

from __future__ import annotations

import random
from pathlib import Path

import torch

from ...core.options import Options
from ...core.verdict import Violation
from ...subject.facets import Manager
from ...subject.subject import Subject
from .. import spy
from ..pieces import PieceCase

RANGE = (1, 8)


def manager(
    subject: Subject, folder: Path, *, compiler: str = spy.NAME, disable: bool = False
) -> Manager:
    """A fresh manager on ``folder`` that compiles with the spy.

    Its random numbers begin as in every start: many programs seed them, and what a cache draws to
    tell things apart must not repeat.
    """
    random.seed(0)
    torch.default_generator.manual_seed(0)  # torch.manual_seed also asks every kind of device
    return subject.manager(Options(compiler=compiler)).open(folder, disable=disable)


def fill(subject: Subject, folder: Path, *cases: PieceCase) -> None:
    """Compile ``cases`` as pieces 0, 1, ... and save."""
    with spy.spying():
        writer = manager(subject, folder)
        for index, case in enumerate(cases):
            writer.compile(case.gm, case.traced, RANGE, index, len(cases))
        writer.save()


def start(subject: Subject, folder: Path, *cases: PieceCase) -> spy.Log:
    """A later start: compile ``cases`` through a fresh manager and check each result."""
    with spy.spying() as log:
        reader = manager(subject, folder)
        for index, case in enumerate(cases):
            case.check(reader.compile(case.gm, case.traced, RANGE, index, len(cases)))
    return log


def expect_work(log: spy.Log, *, loads: int, compiles: int, what: str) -> None:
    """The spy must have loaded and compiled so many pieces."""
    if (len(log.loads), len(log.compiles)) != (loads, compiles):
        raise Violation(
            what,
            expected=f"{loads} loaded, {compiles} compiled",
            got=f"{len(log.loads)} loaded, {len(log.compiles)} compiled",
        )


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below ``folder`` that is no lock."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(".lock")
    }


def cache_file(subject: Subject) -> str:
    """The name of the cache file: the seed's, unless the subject tells another."""
    return str(subject.surface.get("cache_file", "vllm_compile_cache.py"))


def cache_folders(subject: Subject, root: Path) -> list[Path]:
    """The folders below ``root`` that caches lie in, without those that lie in such a folder.

    They are known by the cache file, or else by the notes for people, or else by any file: other
    files may lie anywhere, such as a lock beside a folder or a mark at the root.
    """
    files = [path for path in root.rglob("*") if path.is_file()]
    notes = ("computation_graph.py", "cache_key_factors.json")
    of_a_cache = [path for path in files if path.name == cache_file(subject)]
    holding = {path.parent for path in of_a_cache or [p for p in files if p.name in notes] or files}
    return sorted(each for each in holding if not holding & set(each.parents))


def put_file(subject: Subject, folder: Path, content: bytes) -> None:
    """Let the cache file in ``folder`` be ``content``.

    As a new file: where one is cut short, some file systems write it to the disk first, which takes
    milliseconds.
    """
    path = folder / cache_file(subject)
    path.unlink(missing_ok=True)
    path.write_bytes(content)


def read_file(subject: Subject, folder: Path) -> str:
    """The text of the cache file in ``folder``, which must be there."""
    path = folder / cache_file(subject)
    if not path.is_file():
        raise Violation(
            f"there is no {path.name}", got=str(sorted(p.name for p in folder.iterdir()))
        )
    return path.read_text()
