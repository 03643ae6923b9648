"""What the kill matrix asks, round by round: the reference, the killers, and what is left."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..core import coverage, environment
from . import catalogue, killers
from .killers import Plan
from .plan import SKIPPED, asked_here, make_plan
from .rounds import Costs

Runs = list[dict[str, Any]]

_SLOW_ONE = 10.0  # seconds, of a test that the baseline does not run


@dataclass
class Task:
    """What is to be found out. ``known`` are runs of the reference that need not be repeated."""

    mutants: list[str]
    thorough: bool = False
    part: bool = False  # of the suite, or on a GPU: mutants declare what is asked
    times: int = 1  # that each test is run on the reference; more are for its time alone
    known: Runs = field(default_factory=list)

    def write(self, path: Path) -> None:
        """Keep it for the process that does it."""
        path.write_text(json.dumps(asdict(self)))

    @staticmethod
    def read(path: Path) -> Task:
        """What ``write`` kept."""
        return Task(**json.loads(path.read_text()))


@dataclass
class Outcome:
    """What came of it: ``baseline`` are runs of the reference, ``runs`` those of the mutants."""

    plan: Plan
    baseline: Runs
    runs: Runs
    on_gpu: bool = False
    seconds: list[float] = field(default_factory=list)  # that each round took

    def write(self, path: Path) -> None:
        """Keep it for the process that asked."""
        path.write_text(json.dumps(asdict(self)))

    @staticmethod
    def read(path: Path) -> Outcome:
        """What ``write`` kept."""
        return Outcome(**json.loads(path.read_text()))


class Leader:
    """Makes the rounds, and tells workers of each by ``plan_file``. ``runs`` grows as runs end."""

    def __init__(self, task: Task, plan_file: Path, runs: Runs) -> None:
        self.task, self.plan_file, self.runs = task, plan_file, runs
        self.outcome = Outcome({}, [], [])
        self._rounds = [self._reference, self._killers, self._rest]
        self._first: Plan = {}
        self._began = 0.0
        self._requirement_of: dict[str, str] = {}

    def next_round(self, tests: Sequence[str]) -> Costs | None:
        """The tests of the next round, of all ``tests``; None if there is none."""
        now = time.monotonic()
        if self._began:
            self.outcome.seconds.append(now - self._began)
        self._began = now
        return self._rounds.pop(0)(tests) if self._rounds else None

    def _reference(self, tests: Sequence[str]) -> Costs:
        """All tests on the instrumented reference: it must pass, and tells what each reaches."""
        known = {run["test"].partition("::")[0] for run in self.task.known}
        asked = [test for test in tests if test.partition("::")[0] not in known]
        if self.task.times > 1:
            self._rounds.clear()
            self.plan_file.write_text(
                json.dumps({test: [coverage.INSTRUMENTED] * self.task.times for test in asked})
            )
        return dict.fromkeys(asked, 0.0)

    def _killers(self, tests: Sequence[str]) -> Costs | None:
        """What the plan asks, but of a requirement that a mutant declares only the killer."""
        baseline = self.outcome.baseline = [*self.task.known, *self.runs]
        self.runs.clear()
        if any(run["status"] not in ("pass", *SKIPPED) for run in baseline):
            self._rounds.clear()
            return None
        mutants = {name: catalogue()[name] for name in self.task.mutants}
        self.outcome.on_gpu = on_gpu = environment.missing("gpu") is None
        mutants = asked_here(mutants, baseline, part=self.task.part, on_gpu=on_gpu)
        self.outcome.plan = make_plan(mutants, baseline, thorough=self.task.thorough)
        self._requirement_of = {run["test"]: run["id"] for run in baseline}
        self._first = killers.first_tries(self.outcome.plan, self._requirement_of, killers.load())
        return self._asked(self._first)

    def _rest(self, tests: Sequence[str]) -> Costs:
        """Of requirements that no killer failed, all tests."""
        return self._asked(
            killers.still_to_run(self.outcome.plan, self._first, self._requirement_of, self.runs)
        )

    def _asked(self, plan: Plan) -> Costs:
        self.plan_file.write_text(json.dumps(plan))
        seconds = {
            run["test"]: _SLOW_ONE if run["slow"] else run["seconds"]
            for run in self.outcome.baseline
        }
        return {test: seconds[test] * len(names) for test, names in plan.items()}
