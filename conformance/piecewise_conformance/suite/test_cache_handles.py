"""CACHE: handles that cannot be kept cost themselves, and nothing else."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from piecewise_conformance.core.marks import requirement
from piecewise_conformance.core.verdict import Violation
from piecewise_conformance.subject.subject import Subject
from piecewise_conformance.testkit import spy
from piecewise_conformance.testkit.caches.managers import (
    RANGE,
    expect_work,
    manager,
    read_file,
    start,
)
from piecewise_conformance.testkit.pieces import times


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


@requirement("CACHE-012")
@pytest.mark.parametrize("name", UNPRINTABLE)
def test_unprintable_handle(subject: Subject, tmp_path: Path, name: str) -> None:
    """The compiled piece works, the file stays a literal, and sound entries stay in it."""
    case, sound = times(2), times(3)
    with spy.spying() as log:
        writer = manager(subject, tmp_path)
        writer.compile(sound.gm, sound.traced, RANGE, 0, 2)
        log.handle = UNPRINTABLE[name]
        case.check(writer.compile(case.gm, case.traced, RANGE, 1, 2))
        writer.save()
    try:
        ast.literal_eval(read_file(subject, tmp_path))
    except (ValueError, SyntaxError) as error:
        raise Violation("the cache file is no literal any more", got=str(error)) from None
    log = start(subject, tmp_path, sound, case)
    expect_work(log, loads=1, compiles=1, what=f"a start after a handle that is a {name}")
