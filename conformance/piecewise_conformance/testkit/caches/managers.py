"""A folder, managers on it that compile with the spy, and what they did."""

from __future__ import annotations

import random
from pathlib import Path

import torch

from ...core.boundary import whose
from ...core.options import Options
from ...core.verdict import Violation
from ...subject.facets import Manager
from ...subject.subject import Subject
from .. import spy
from ..pieces import PieceCase
from . import snapshots

RANGE = (1, 8)


def manager(
    subject: Subject, folder: Path, *, compiler: str = spy.NAME, disable: bool = False
) -> Manager:
    """A fresh manager on ``folder`` that compiles with the spy.

    Its random numbers begin as in every start: many programs seed them, and what a cache draws to
    tell things apart must not repeat.
    """
    subject.restart()
    random.seed(0)
    torch.default_generator.manual_seed(0)  # torch.manual_seed also asks every kind of device
    return subject.manager(Options(compiler=compiler)).open(folder, disable=disable)


def fill(subject: Subject, folder: Path, *cases: PieceCase) -> None:
    """Compile ``cases`` as pieces 0, 1, ... and save, in a folder that is made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
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


def held(subject: Subject, folder: Path, *cases: PieceCase) -> int:
    """How many of ``cases``, stored as pieces 0, 1, ..., a later start finds by ``load``.

    Each that it finds is checked.
    """
    with spy.spying():
        reader = manager(subject, folder)
        loaded = [reader.load(case.gm, case.traced, RANGE, at) for at, case in enumerate(cases)]
    for case, runnable in zip(cases, loaded, strict=True):
        if runnable is not None:
            case.check(runnable)
    return sum(each is not None for each in loaded)


def costs(subject: Subject, folder: Path, *cases: PieceCase) -> bool:
    """Whether a start on ``folder`` as it is finds fewer than all of ``cases``, or fails.

    What a corrupt file costs tells whether the cache needed it: an index that is made again from
    the entries, or a mark, is not missed.
    """
    try:
        return held(subject, folder, *cases) < len(cases)
    except Exception as error:
        if whose(error) is None and not isinstance(error, Violation):
            raise
        return True


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below ``folder`` that is not a lock."""
    return snapshots.take(folder)
