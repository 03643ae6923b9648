"""What failures have in common: results grouped by the signature of their cause.

One missing attribute may fail tests of ten requirements. A person wants to read of it once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from .report import Result

_VARYING = re.compile(r"0x[0-9a-f]+|\b[0-9a-f]{8,}\b|(?<![\w.])/[^\s:'\")]+|\d+")
_ASKED_FOR = re.compile(r"(?P<said>the subject raised .*), in [^,]*$")
_LONGEST = 200


def gist(message: str) -> str:
    """The first line of ``message``, without what differs from one process to the next."""
    return _VARYING.sub("#", message.strip().partition("\n")[0])[:_LONGEST]


def signature(result: Result) -> tuple[str, str]:
    """What failures of one cause share: how the test ended, and the gist of its message.

    What the subject was asked to do when it raised is left out, because one fault is met in many
    ways.
    """
    first = result.message.strip().partition("\n")[0]
    raised = _ASKED_FOR.fullmatch(first)
    return result.status.value, gist(raised["said"] if raised else first)


@dataclass(frozen=True)
class Group:
    """Results with one signature, by requirement."""

    results: tuple[Result, ...]

    @property
    def by_id(self) -> dict[str, list[Result]]:
        """The results of each requirement."""
        found: dict[str, list[Result]] = {}
        for each in sorted(self.results, key=lambda result: (result.rank, result.key)):
            found.setdefault(each.id, []).append(each)
        return found


def grouped(results: Iterable[Result]) -> list[Group]:
    """Group ``results`` by signature and sort the groups.

    The worst consequence is first, then failures of a MUST, then the largest group.
    """
    found: dict[tuple[str, str], list[Result]] = {}
    for each in results:
        found.setdefault(signature(each), []).append(each)
    groups = [Group(tuple(some)) for some in found.values()]
    return sorted(groups, key=_rank)


def _rank(group: Group) -> tuple[int, bool, int, tuple[str, str]]:
    worst = min(each.rank for each in group.results)
    decides = any(each.level == "MUST" for each in group.results)
    return worst, not decides, -len(group.results), min(each.key for each in group.results)
