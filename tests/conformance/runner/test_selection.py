"""What a smoke run takes of the suite, and how tests are dealt out to workers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from piecewise_conformance.core.requirements import SMOKE, load
from piecewise_conformance.core.suite_scan import scan
from piecewise_conformance.runner.selection import a_few, dealt, is_slow


@dataclass(eq=False)
class Item:
    """As much of a pytest item as is looked at."""

    nodeid: str
    marks: tuple[str, ...] = ()
    needs: tuple[str, ...] = field(default=())

    def get_closest_marker(self, name: str) -> object | None:
        """A mark that it has."""
        return SimpleNamespace(args=(name,)) if name in self.marks else None

    def iter_markers(self, name: str) -> list[Any]:
        """What it needs."""
        return [SimpleNamespace(args=self.needs)] if self.needs else []


def items(count: int, name: str = "x", **more: Any) -> list[pytest.Item]:
    """Cases of one function."""
    return [cast(pytest.Item, Item(f"test_s.py::test_{name}[{n}]", **more)) for n in range(count)]


@pytest.mark.parametrize(
    ("count", "kept"), [(1, "0"), (2, "01"), (3, "012"), (4, "023"), (9, "048")]
)
def test_a_few(count: int, kept: str) -> None:
    """First, last and the middle; what is slow is left out."""
    found = a_few([*items(count), *items(5, "slow", marks=("slow",))])
    assert "".join(each.nodeid[-2] for each in found) == kept


@pytest.mark.parametrize("workers", [1, 2, 3, 7])
def test_dealt(workers: int) -> None:
    """All are there once, and each worker's share begins with its part of the slow ones."""
    slow = [*items(6, "slow", marks=("slow",)), *items(5, "inductor", needs=("inductor",))]
    given = [*items(20, "a"), *slow, *items(9, "b")]
    found = dealt(given, workers)
    assert Counter(map(id, found)) == Counter(map(id, given))
    for worker in range(workers):
        share = found[len(found) * worker // workers : len(found) * (worker + 1) // workers]
        kinds = [each in slow for each in share]
        assert kinds == sorted(kinds, reverse=True)
        inductor = [is_slow(each) and each.get_closest_marker("slow") is None for each in share]
        asked = inductor[: sum(kinds)]
        assert asked == sorted(asked, reverse=worker == 0)  # one begins with it, others end
        assert len(slow) // workers <= sum(kinds) <= len(slow) // workers + 1


def test_together() -> None:
    """What is marked so goes to one worker, in its order."""
    alone = items(5, "alone", marks=("slow",))
    pair = items(3, "pair", marks=("slow", "together"))
    found = dealt([pair[0], *alone, *pair[1:], *items(8, "quick")], 2)
    at = [found.index(each) for each in pair]
    assert at == list(range(at[0], at[0] + 3))
    assert max(at) < len(found) // 2 or min(at) >= len(found) // 2


def test_slow_alone() -> None:
    """Where there is nothing quick to fill up with, nothing is lost."""
    slow = items(5, marks=("slow",))
    assert Counter(map(id, dealt(slow, 2))) == Counter(map(id, slow))
    assert dealt([], 2) == []


def test_every_smoke_requirement_has_a_quick_test() -> None:
    """Else a smoke run would pass over it, unseen."""
    slow_marks = ("slow",)
    quick = {
        each.requirement
        for each in scan().values()
        if not any(mark in _decorators(each.path, each.node) for mark in slow_marks)
    }
    assert {each.id for each in load().values() if SMOKE in each.profiles} <= quick


def _decorators(path: Path, node: str) -> list[str]:
    import ast

    name = node.rpartition("::")[2]
    (found,) = [
        each
        for each in ast.walk(ast.parse(path.read_text()))
        if isinstance(each, ast.FunctionDef) and each.name == name
    ]
    return [ast.unparse(each) for each in found.decorator_list]
