"""CACHE: handles that cannot be kept cost themselves, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from piecewise_conformance.core.marks import requirement
from piecewise_conformance.core.verdict import Violation
from piecewise_conformance.subject.subject import Subject
from piecewise_conformance.testkit import spy
from piecewise_conformance.testkit.caches import seed_layout
from piecewise_conformance.testkit.caches.managers import (
    RANGE,
    expect_work,
    manager,
    start,
)
from piecewise_conformance.testkit.pieces import PieceCase, times


class _Raises(str):
    """A text that cannot be printed, or not be compared."""

    __hash__ = str.__hash__
    printed = False

    def __repr__(self) -> str:
        if not self.printed:
            raise OSError("this handle cannot be printed")
        return "'handle'"

    def __eq__(self, other: object) -> bool:
        raise OSError("this handle cannot be compared")


class _Compares(_Raises):
    printed = True


class _Lies:
    def __repr__(self) -> str:
        return "('spy', 'another handle')"


UNPRINTABLE: dict[str, Callable[[int], Any]] = {
    "raises-when-printed": lambda number: _Raises("handle"),
    "raises-when-compared": lambda number: _Compares("handle"),
    "prints-another": lambda number: _Lies(),
    "object": lambda number: object(),
    "function": lambda number: len,
    "infinity": lambda number: float("inf"),
    "nan": lambda number: ("spy", float("nan")),
    "path": lambda number: Path("artifact"),
    "dtype": lambda number: ("spy", torch.float32),
    "nested-object": lambda number: {"path": [object()]},
    "frozenset": lambda number: frozenset({1}),
}


def _printed(handle: Any) -> str:
    try:
        return repr(handle)
    except OSError:
        return "cannot be printed"


def _is_same(found: Any, made: Any) -> bool:
    """Whether a cache that keeps handles in another way than as text gave back ``made``."""
    return type(found) is type(made) and _printed(found) == _printed(made)


def _store(subject: Subject, folder: Path, sound: PieceCase, case: PieceCase, name: str) -> Any:
    """Store ``sound`` as piece 0, and ``case`` as piece 1 with a handle that cannot be printed,
    which is returned.
    """
    with spy.spying() as log:
        writer = manager(subject, folder)
        writer.compile(sound.gm, sound.traced, RANGE, 0, 2)
        log.handle = UNPRINTABLE[name]
        case.check(writer.compile(case.gm, case.traced, RANGE, 1, 2))
        writer.save()
    if len(log.made) < 2:
        raise Violation("compiles of two pieces", expected="2", got=str(len(log.made)))
    return log.made[-1]


@requirement("CACHE-012")
@pytest.mark.parametrize("name", UNPRINTABLE)
def test_unprintable_handle(subject: Subject, tmp_path: Path, name: str) -> None:
    """The compiled piece works, and the next start finds the sound entries. It compiles the piece
    again, unless the cache gives back the very handle.
    """
    sound, case = times(3), times(2)
    made = _store(subject, tmp_path, sound, case, name)
    log = start(subject, tmp_path, sound, case)
    what = f"a start after a handle that is a {name}"
    if len(log.loads) + len(log.compiles) != 2 or not any(call.index == 0 for call in log.loads):
        raise Violation(
            what,
            expected="the valid entry is loaded",
            got=f"{len(log.loads)} loaded, {len(log.compiles)} compiled",
        )
    for call in log.loads:
        if call.index == 1 and not _is_same(call.key, made):
            raise Violation(
                f"{what}: the handle that is loaded for it",
                expected=f"nothing, or {_printed(made)}",
                got=_printed(call.key),
            )


@requirement("KEY-006")
@pytest.mark.parametrize("name", UNPRINTABLE)
def test_file_stays_a_literal(subject: Subject, tmp_path: Path, name: str) -> None:
    """The file is a literal still, the sound entries stay in it, and the handle is not stored."""
    subject.need(seed_layout.ABILITY)
    sound, case = times(3), times(2)
    _store(subject, tmp_path, sound, case, name)
    seed_layout.read_literal(subject, tmp_path)
    log = start(subject, tmp_path, sound, case)
    expect_work(log, loads=1, compiles=1, what=f"a start after a handle that is a {name}")
