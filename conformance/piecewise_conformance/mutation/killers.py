"""Which test failed a mutant, by requirement, when the matrix was last accepted.

That test is tried first. As a rule it fails again, and then the others of the requirement have
nothing to add. Should it pass, or be gone, all of them are run: what is kept saves time and decides
nothing.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from . import FOLDER, Mutant

Plan = dict[str, list[str]]  # test -> mutants
Killers = dict[str, dict[str, str]]  # mutant -> requirement -> test

FILE = FOLDER / "killers.json"
KILLED = ("fail", "crash", "timeout")


def load(path: Path = FILE) -> Killers:
    """What is kept."""
    killers: Killers = json.loads(path.read_text(encoding="utf-8"))
    return killers


def first_tries(plan: Plan, requirement_of: Mapping[str, str], killers: Killers) -> Plan:
    """``plan`` without the tests of a mutant's requirement that its killer makes superfluous."""
    first: Plan = defaultdict(list)
    for test, names in plan.items():
        for name in names:
            killer = killers.get(name, {}).get(requirement_of[test], test)
            if killer == test or name not in plan.get(killer, ()):
                first[test].append(name)
    return dict(first)


def still_to_run(
    plan: Plan, done: Plan, requirement_of: Mapping[str, str], runs: Iterable[dict[str, Any]]
) -> Plan:
    """What of ``plan`` was not done, where no test has failed the mutant's requirement yet."""
    killed = {(run["subject"], run["id"]) for run in runs if run["status"] in KILLED}
    left = {
        test: [
            name
            for name in names
            if name not in done.get(test, ()) and (name, requirement_of[test]) not in killed
        ]
        for test, names in plan.items()
    }
    return {test: names for test, names in left.items() if names}


def keep(runs: Iterable[dict[str, Any]], mutants: Mapping[str, Mutant], path: Path = FILE) -> None:
    """Keep the quickest test that failed each requirement; of runs before, what is not known anew.

    ``mutants`` is the whole catalogue: what it does not have, or does not declare, is let go.
    """
    fresh: dict[tuple[str, str], tuple[float, str]] = {}
    for run in runs:
        if run["status"] in KILLED:
            at, found = (run["subject"], run["id"]), (run["seconds"], run["test"])
            fresh[at] = min(fresh.get(at, found), found)
    kept = load(path) if path.exists() else {}
    for (name, requirement), (_, test) in fresh.items():
        kept.setdefault(name, {})[requirement] = test
    lines = []
    for name in sorted(kept):
        if name in mutants:
            declared = {
                id: kept[name][id] for id in sorted(kept[name]) if id in mutants[name].fails
            }
            if declared:
                lines.append(f"{json.dumps(name)}: {json.dumps(declared)}")
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
