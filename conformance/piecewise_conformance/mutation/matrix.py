"""The pytest plugin of the kill matrix: runs each test on many mutants, one after another.

What to run is a plan that is given, or is made round by round for a task.

It stands beside the plugin of the conformance run, which judges each run of a test as always.
"""

from __future__ import annotations

import gc
import json
import os
from pathlib import Path
from typing import Any

import pytest
from _pytest.runner import runtestprotocol

from ..core import coverage
from ..core.suite_scan import split_node
from ..runner.plugin import RESULT, SUBJECT
from ..runner.selection import is_slow
from ..subject.subject import Subject
from . import catalogue, load, planting
from .leader import Leader, Outcome, Task
from .rounds import Pause, Rounds

_RUNS = "piecewise_matrix"
_FAILED = ("fail", "crash", "timeout")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Files: what to run, what to find out, and where what came of it goes."""
    parser.addoption("--piecewise-plan", required=True, help="JSON: test function -> mutants")
    parser.addoption("--piecewise-task", help="JSON: what to find out; the plan is then of tests")
    parser.addoption("--piecewise-outcome", required=True, help="where the runs go, as JSON")


def pytest_configure(config: pytest.Config) -> None:
    """Workers run, the controller collects."""
    role = Looper if hasattr(config, "workerinput") else Collector
    config.pluginmanager.register(role(config), "piecewise-matrix")


class Looper:
    """In a worker: runs a test for each of its mutants."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.plan: dict[str, list[str]] = {}
        self._learn_plan()
        self.rounds = bool(config.getoption("--piecewise-task"))
        self.killed: set[tuple[str, str]] = set()
        self.loaded: dict[str, Subject] = {}
        from ..testkit.capture_cache import reuse

        reuse(True)
        os.fsync = lambda fd: None  # tests kill processes and pull no plugs; disks are slow

    def _learn_plan(self) -> None:
        self.plan = json.loads(Path(self.config.getoption("--piecewise-plan")).read_text())

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(
        self, session: pytest.Session, items: list[pytest.Item]
    ) -> None:
        """Add a pause between rounds; or leave out tests that no mutant needs."""
        if self.rounds:
            items.append(Pause.from_parent(session, name="pause"))
        else:
            # what a quick test fails no slow one of the same requirement is run on
            items[:] = sorted((item for item in items if self._names(item)), key=_by_requirement)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool:
        """All runs of one test, and one report of them."""
        if isinstance(item, Pause):
            self._learn_plan()
            return True
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        runs = [run for name in self._names(item) if (run := self._run(item, name)) is not None]
        report = pytest.TestReport(
            nodeid=item.nodeid,
            location=item.location,
            keywords={},
            outcome="passed",
            longrepr=None,
            when="call",
            user_properties=[(_RUNS, json.dumps(runs))],
        )
        item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    def _names(self, item: pytest.Item) -> list[str]:
        if self.rounds:
            return self.plan.get(item.nodeid, [coverage.INSTRUMENTED])
        return self.plan.get(split_node(item.nodeid)[0], [])

    def _loaded(self, name: str) -> Subject:
        if name not in self.loaded:
            self.loaded[name] = load(name)
            # It stays to the end. Captures collect garbage, and would look through every mutant.
            gc.collect()
            gc.freeze()
        return self.loaded[name]

    def _run(self, item: pytest.Item, name: str) -> dict[str, Any] | None:
        (marker,) = item.iter_markers("requirement")
        requirement = marker.args[0]
        slow = is_slow(item)
        about: dict[str, Any] = {
            "test": item.nodeid,
            "subject": name,
            "id": requirement,
            "slow": slow,
        }
        if slow and name == coverage.INSTRUMENTED:
            return {**about, "status": "pass", "message": "", "seconds": 0.0, "reached": []}
        if (name, requirement) in self.killed:
            return None  # one failure of a requirement is as good as ten
        run = self._judged(item, name, about)
        if run["status"] in _FAILED and self._may_have_left_it_behind(name, requirement):
            self._plant_anew(name)
            run = self._judged(item, name, about)
        if run["status"] in _FAILED:
            self.killed.add((name, requirement))
        return run

    def _may_have_left_it_behind(self, name: str, requirement: str) -> bool:
        """Whether a failure of ``requirement`` is not declared, and may be of what the mutant left
        in its own modules when it failed another one before.
        """
        mutant = catalogue().get(name)
        failed_before = any(each == name for each, _ in self.killed)
        return mutant is not None and failed_before and requirement not in mutant.fails

    def _plant_anew(self, name: str) -> None:
        planting.forget(catalogue()[name])
        load.cache_clear()
        del self.loaded[name]

    def _judged(self, item: pytest.Item, name: str, about: dict[str, Any]) -> dict[str, Any]:
        item.stash[SUBJECT] = self._loaded(name)
        item._initrequest()  # type: ignore[attr-defined]  # fresh fixtures, as reruns do it
        self.config.pluginmanager.get_plugin("piecewise").watch.begin()  # type: ignore[union-attr]
        coverage.take()
        # None: the next run may be of any test, for one whose mutants are all killed has none
        reports = runtestprotocol(item, log=False, nextitem=None)
        (result,) = [
            json.loads(str(value))
            for report in reports
            for key, value in report.user_properties
            if key == RESULT
        ]
        return {
            **about,
            **({"result": result} if result["status"] in _FAILED else {}),
            "status": result["status"],
            "message": result["message"],
            "seconds": result["seconds"],
            "reached": coverage.take(),
        }


def _by_requirement(item: pytest.Item) -> tuple[str, bool]:
    (marker,) = item.iter_markers("requirement")
    return marker.args[0], is_slow(item)


class Collector:
    """In the controller: collects the runs, and makes rounds of them if it was given a task."""

    def __init__(self, config: pytest.Config) -> None:
        self.path = Path(config.getoption("--piecewise-outcome"))
        self.runs: list[dict[str, Any]] = []
        self.leader: Leader | None = None
        if task := config.getoption("--piecewise-task"):
            plan = Path(config.getoption("--piecewise-plan"))
            self.leader = Leader(Task.read(Path(task)), plan, self.runs)

    def pytest_xdist_make_scheduler(self, config: pytest.Config) -> Rounds | None:
        """Rounds, where there is a task."""
        workers = len(config.getoption("tx"))
        return Rounds(workers, self.leader.next_round) if self.leader else None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take the runs of one test."""
        for key, value in report.user_properties:
            if key == _RUNS:
                self.runs += json.loads(str(value))

    def pytest_handlecrashitem(self, crashitem: str, report: pytest.TestReport) -> None:
        """A mutant killed the worker: all runs of that test are lost, which must be seen."""
        self.runs.append({"test": crashitem, "status": "lost"})

    def pytest_sessionfinish(self) -> None:
        """Write what came of it."""
        outcome = self.leader.outcome if self.leader else Outcome({}, [], [])
        outcome.runs = self.runs
        outcome.write(self.path)
