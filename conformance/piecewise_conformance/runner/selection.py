"""Which cases a smoke run takes, and in which order the workers are given theirs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest

from ..core.suite_scan import split_node

_FEW = 3  # cases of one test function in a smoke run


def is_slow(item: pytest.Item) -> bool:
    """Whether the test takes seconds: it is marked so, or compiles with Inductor."""
    return item.get_closest_marker("slow") is not None or _with_inductor(item)


def _with_inductor(item: pytest.Item) -> bool:
    return any("inductor" in marker.args for marker in item.iter_markers("needs"))


def a_few(items: Iterable[pytest.Item]) -> list[pytest.Item]:
    """Of each test function the first case, the last, and some from evenly between.

    Smoke tells whether an adapter works at all; what a hundred graphs tell is for a whole run.
    Functions over the same graphs get the same of them, so that each is captured once.
    """
    functions: dict[str, list[pytest.Item]] = {}
    for item in items:
        if item.get_closest_marker("slow") is None:
            functions.setdefault(split_node(item.nodeid)[0], []).append(item)
    kept = []
    for cases in functions.values():
        last = len(cases) - 1
        at = {round(number * last / (_FEW - 1)) for number in range(_FEW)}
        kept += [cases[each] for each in sorted(at)]
    return kept


def dealt(items: Sequence[pytest.Item], workers: int) -> list[pytest.Item]:
    """``items`` in an order in which each worker's share begins with its part of the slow ones.

    xdist gives each worker one run of neighbours, and whoever is done takes from the end of
    another's. What is slow would else be left to one worker when the others have nothing to do.
    One worker begins with Inductor, the others end their slow ones with it: who compiles first
    makes for all what Inductor needs of the C++ compiler, and the others would wait for it.
    """
    slow = _groups(item for item in items if is_slow(item))
    quick = [item for item in items if not is_slow(item)]
    order: list[pytest.Item] = []
    for worker in range(workers):
        groups = slow[worker::workers]
        groups.sort(key=lambda group: _with_inductor(group[0]) == (worker > 0))
        mine = [item for group in groups for item in group]
        end = len(items) * (worker + 1) // workers
        room = max(end - len(order) - len(mine), 0)
        order += [*mine, *quick[:room]]
        quick = quick[room:]
    return [*order, *quick]


def _groups(items: Iterable[pytest.Item]) -> list[list[pytest.Item]]:
    """``items``, each alone, but for those that are marked to stay together."""
    groups: dict[str, list[pytest.Item]] = {}
    for item in items:
        marker = item.get_closest_marker("together")
        groups.setdefault(marker.args[0] if marker else item.nodeid, []).append(item)
    return list(groups.values())
