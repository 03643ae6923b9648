"""Which tests each mutant is run on.

* Tests are of three levels: of one part, of the whole backend, and those that take seconds (with
  Inductor, or in fresh processes). A fault is the business of the lowest level that reaches it.
* Requirements that a mutant declares are judged by all their tests, others of the same families by
  one, other families by one: that it fails what it should is checked in full, that it fails nothing
  else by sample.
* Tests that take seconds are not traced. They serve for what no other test reaches.
"""

from __future__ import annotations

import dataclasses
import math
from collections import defaultdict
from typing import Any

from . import Mutant, planting, samples
from .killers import Plan

_PART, _WHOLE, _SLOW = range(3)
SKIPPED = ("unsupported", "not-run")


def asked_of(mutants: dict[str, Mutant], asked: set[str], *, on_gpu: bool) -> dict[str, Mutant]:
    """The mutants, each with what it must fail of the requirements ``asked``.

    A mutant that must fail none of them is left out.
    """
    found = {}
    for name, mutant in mutants.items():
        fails = mutant.fails | (mutant.fails_on_gpu if on_gpu else frozenset())
        if mutant.is_variant or fails & asked:
            found[name] = dataclasses.replace(mutant, fails=fails & asked)
    return found


def asked_here(
    mutants: dict[str, Mutant], baseline: list[dict[str, Any]], *, part: bool, on_gpu: bool
) -> dict[str, Mutant]:
    """The mutants as a run that had this baseline, of a ``part`` or on a GPU, can judge them."""
    if not part and not on_gpu:
        return mutants
    return asked_of(mutants, {run["id"] for run in baseline}, on_gpu=on_gpu)


def make_plan(
    mutants: dict[str, Mutant], baseline: list[dict[str, Any]], *, thorough: bool = False
) -> Plan:
    """For each test the mutants to run it on, by the statements that it reached."""
    quick = samples.load()
    passed = [run for run in baseline if run["status"] == "pass"]
    passed.sort(key=lambda run: (quick.get(run["test"], math.inf), run["test"]))
    slow = [run for run in passed if run["slow"]]
    level_of = [_level(run) for run in passed]
    by_place: dict[str, set[int]] = defaultdict(set)  # statements, and whole files
    for at, run in enumerate(passed):
        for key in run["reached"]:
            by_place[key].add(at)
            by_place[key.partition(":")[0]].add(at)
    plan: Plan = defaultdict(list)
    for name, mutant in mutants.items():
        places = planting.statements_of(mutant)
        reaching: dict[int, list[dict[str, Any]]] = defaultdict(list)
        for at in sorted(set().union(*(by_place[each] for each in places if each in by_place))):
            reaching[level_of[at]].append(passed[at])
        reaching[_SLOW] = slow
        level = _SLOW if mutant.slow else min(reaching, default=_SLOW)
        chosen = _selected(reaching[level], mutant.fails, thorough)
        # a declared requirement is judged wherever its tests are, but by slow ones only at need
        for above in range(level + 1, _SLOW + 1):
            judged = {run["id"] for run in chosen} if above == _SLOW else set()
            chosen += [run for run in reaching[above] if run["id"] in mutant.fails - judged]
        for run in chosen:
            plan[run["test"]].append(name)
    return dict(plan)


def _level(run: dict[str, Any]) -> int:
    if run["slow"]:
        return _SLOW
    return _WHOLE if any(key.startswith("backend.py:") for key in run["reached"]) else _PART


def _selected(
    runs: list[dict[str, Any]], declared: frozenset[str], thorough: bool
) -> list[dict[str, Any]]:
    """All runs of the requirements ``declared``, and of the others a sample, or all of them.

    The sample: one a requirement in the families that are declared, one a family elsewhere; for a
    variant, which declares none, one a requirement. It is the first of ``runs``. Of slow ones even
    that is too much: none, or one a function.
    """
    families = {id.partition("-")[0] for id in declared}
    kept: dict[tuple[str, str], dict[str, Any]] = {}
    for run in runs:
        family = run["id"].partition("-")[0]
        near = not declared or family in families
        if run["id"] in declared or (thorough and not run["slow"]):
            kept[run["id"], run["test"]] = run
        elif run["slow"]:
            if thorough:
                kept.setdefault((run["id"], run["test"].partition("[")[0]), run)
        else:
            kept.setdefault((run["id"] if near else family, ""), run)
    return list(kept.values())
