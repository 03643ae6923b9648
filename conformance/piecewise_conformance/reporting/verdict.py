"""The verdict of a run: its exit status, its words, and the footer that holds both."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..core.levels import Level, load_levels
from ..core.requirements import GPU, Requirement
from ..core.verdict import Status
from .report import CONFORMANT, FAILING, INCOMPLETE, NOT_CONFORMANT, Result

_KNOWN = (Status.XFAIL, Status.XPASS)


def exit_status(results: Iterable[Result], *, problem: str = "", unmatched: int = 0) -> int:
    """The exit status of a run with ``results``; ``problem`` is why it is incomplete, if it is.

    ``unmatched`` is the number of expectations that matched nothing.

    A verdict of a broken run is no verdict: an error of the harness beats a failure. Of failures
    only those of a MUST count. Where nothing was judged, nothing conforms.
    """
    results = list(results)
    if problem or any(each.status is Status.ERROR for each in results):
        return INCOMPLETE
    if unmatched or any(each.status is Status.XPASS for each in results):
        return NOT_CONFORMANT
    if any(each.failing and each.level == "MUST" for each in results):
        return NOT_CONFORMANT
    if not any(each.status is Status.PASS or each.failing for each in results):
        return INCOMPLETE
    return CONFORMANT


@dataclass(frozen=True)
class Scope:
    """How many requirements there are for a device, and how many of them a run has judged."""

    judged: int
    of: int

    def __str__(self) -> str:
        return f"{self.judged} of {self.of} requirements judged"

    @property
    def whole(self) -> bool:
        """Whether every requirement was judged."""
        return self.judged >= self.of


@dataclass(frozen=True)
class LevelResult:
    """How many requirements of a level hold, and which of them were not judged."""

    level: str
    torch: str
    held: frozenset[str]
    failed: frozenset[str]
    unsupported: frozenset[str]
    not_run: frozenset[str]  # or not selected

    def __str__(self) -> str:
        judged = len(self.held) + len(self.failed)
        parts = [f"{len(self.held)} of {judged}"]
        parts += [f"{len(self.unsupported)} unsupported"] if self.unsupported else []
        parts += [f"{len(self.not_run)} not run"] if self.not_run else []
        return f"{self.level} on torch {self.torch}: {', '.join(parts)}"


def level_result(header: Mapping[str, Any], results: Iterable[Result]) -> LevelResult | None:
    """Return the result for the level that the run of ``header`` selected; None without a level.

    A requirement failed if one of its tests did, as expected or not. It is unsupported if no test
    judged it and the subject does not support one of them.
    """
    level = _level_of(header)
    if level is None:
        return None
    statuses: dict[str, set[Status]] = {id: set() for id in level.sentences}
    for each in results:
        statuses.get(each.id, set()).add(each.status)
    bad = {*FAILING, *_KNOWN, Status.ERROR}
    failed = frozenset(id for id, have in statuses.items() if have & bad)
    held = frozenset(id for id, have in statuses.items() if Status.PASS in have) - failed
    left = statuses.keys() - failed - held
    unsupported = frozenset(id for id in left if Status.UNSUPPORTED in statuses[id])
    torch = str(header["versions"].get("torch"))
    return LevelResult(level.name, torch, held, failed, unsupported, frozenset(left - unsupported))


def requirements_of(
    header: Mapping[str, Any], requirements: Mapping[str, Requirement]
) -> Mapping[str, Requirement]:
    """Return those of ``requirements`` that count for the run of ``header``: those of its level."""
    level = _level_of(header)
    return level.select(requirements) if level else requirements


def _level_of(header: Mapping[str, Any]) -> Level | None:
    """Return the level of a run; None without one, or for one that this release does not have."""
    level = load_levels().get(str(header.get("level")))
    return level if level and level.digest == header.get("level_digest") else None


def judged_by(results: Iterable[Result]) -> set[str]:
    """The IDs of the requirements that at least one test has judged."""
    return {r.id for r in results if r.status is Status.PASS or r.failing or r.status in _KNOWN}


def scope_of(
    results: Sequence[Result], requirements: Mapping[str, Requirement], device: str = "cpu"
) -> Scope:
    """How much of ``requirements`` the results judge.

    A requirement that only has the profile ``gpu`` counts in a run on a GPU alone, and a retired
    one never does. One that the results name counts also if ``requirements`` does not have it.
    """
    known = {
        each.id
        for each in requirements.values()
        if not each.retired and (device == "cuda" or each.profiles != {GPU})
    }
    judged = judged_by(results)
    gpu_only = {id for id, each in requirements.items() if each.profiles == {GPU}} - judged
    return Scope(len(judged), len(known | ({each.id for each in results} - gpu_only)))


def verdict(
    results: Iterable[Result],
    *,
    problem: str = "",
    unmatched: int = 0,
    scope: Scope | None = None,
) -> str:
    """The verdict in words, for the footer and for people.

    What is conformant is called so without reserve only if every requirement of ``scope`` was
    judged and no failure was expected.
    """
    results = list(results)
    status = exit_status(results, problem=problem, unmatched=unmatched)
    if status == CONFORMANT:
        return _conformant(results, scope)
    if status == NOT_CONFORMANT:
        return "not conformant"
    if problem:
        return f"incomplete: {problem}"
    if any(each.status is Status.ERROR for each in results):
        return "incomplete: the harness had errors"
    return "nothing was tested"


def _conformant(results: Sequence[Result], scope: Scope | None) -> str:
    known = [each for each in results if each.status is Status.XFAIL]
    part = str(scope) if scope and not scope.whole else ""
    if known:
        tests = _number(len(known), "test")
        told = f"{tests} of {_number(len({each.id for each in known}), 'requirement')}"
        return f"known failures only ({'; '.join(filter(None, [told, part]))})"
    return f"conformant in part ({part})" if part else "conformant"


def _number(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def in_capitals(verdict: str) -> str:
    """``verdict`` for the last line of a terminal: in capitals, but for what is in brackets."""
    words, bracket, rest = verdict.partition(" (")
    return f"{words.upper()}{bracket}{rest}"


def totals(results: Iterable[Result]) -> dict[str, int]:
    """How many results there are of each status, in the order of Status; none are left out."""
    count = Counter(each.status for each in results)
    return {status.value: count[status] for status in Status}


def by_family(results: Iterable[Result]) -> dict[str, dict[str, int]]:
    """The totals of each family that has results, in alphabetical order."""
    families: dict[str, list[Result]] = {}
    for each in results:
        families.setdefault(each.family, []).append(each)
    return {family: totals(families[family]) for family in sorted(families)}


def make_footer(
    results: Iterable[Result],
    *,
    seconds: float,
    unmatched: Iterable[str] = (),
    scope: Scope | None = None,
    level: LevelResult | None = None,
) -> dict[str, Any]:
    """Return the footer of a complete run."""
    results, unmatched = list(results), list(unmatched)
    return {
        "totals": totals(results),
        "families": by_family(results),
        "results": len(results),
        "requirements": len({each.id for each in results}),
        "judged": scope.judged if scope else len(judged_by(results)),
        "of_requirements": scope.of if scope else len({each.id for each in results}),
        "should_failures": sum(each.failing and each.level != "MUST" for each in results),
        "unmatched": unmatched,
        "verdict": verdict(results, unmatched=len(unmatched), scope=scope),
        "exit_status": exit_status(results, unmatched=len(unmatched)),
        "level_result": str(level) if level else None,
        "seconds": round(seconds, 3),
    }
