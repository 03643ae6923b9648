"""The pytest plugin of the kill matrix: runs each test on many mutants, one after another.

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

from .. import reach
from ..plugin import RESULT, SUBJECT
from ..selection import dealt, is_slow
from ..subject import Subject
from ..suite_scan import split_node
from . import load

_RUNS = "piecewise_matrix"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Two files: what to run, and where what came of it goes."""
    parser.addoption("--piecewise-plan", required=True, help="JSON: test -> names; {} is all")
    parser.addoption(
        "--piecewise-functions", action="store_true", help="the plan names functions, not cases"
    )
    parser.addoption("--piecewise-runs", required=True, help="where the runs go, as JSON lines")


def pytest_configure(config: pytest.Config) -> None:
    """Workers run, the controller writes."""
    role = Looper if hasattr(config, "workerinput") else Writer
    config.pluginmanager.register(role(config), "piecewise-matrix")


class Looper:
    """In a worker: runs a test for each of its mutants."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.plan: dict[str, list[str]] = json.loads(
            Path(config.getoption("--piecewise-plan")).read_text()
        )
        self.workers: int = config.workerinput["workercount"]  # type: ignore[attr-defined]
        self.functions: bool = config.getoption("--piecewise-functions")
        self.killed: set[tuple[str, str]] = set()
        self.loaded: dict[str, Subject] = {}
        from ..recorded import reuse

        reuse(True)
        os.fsync = lambda fd: None  # tests kill processes and pull no plugs; disks are slow

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Leave out tests that no mutant needs, and deal the slow ones out first."""
        if self.functions:
            # what a quick test fails no slow one of the same requirement is run on
            items[:] = sorted((item for item in items if self._names(item)), key=_by_requirement)
        elif self.plan:
            chosen = [item for item in items if item.nodeid in self.plan]
            items[:] = dealt(chosen, self.workers)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool:
        """All runs of one test, and one report of them."""
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
        if self.functions:
            return self.plan.get(split_node(item.nodeid)[0], [])
        return self.plan.get(item.nodeid, [reach.INSTRUMENTED])

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
        if slow and not self.plan:
            return {**about, "status": "pass", "message": "", "seconds": 0.0, "reached": []}
        if (name, requirement) in self.killed:
            return None  # one failure of a requirement is as good as ten
        item.stash[SUBJECT] = self._loaded(name)
        item._initrequest()  # type: ignore[attr-defined]  # fresh fixtures, as reruns do it
        self.config.pluginmanager.get_plugin("piecewise").watch.begin()  # type: ignore[union-attr]
        reach.take()
        # None: the next run may be of any test, for one whose mutants are all killed has none
        reports = runtestprotocol(item, log=False, nextitem=None)
        (result,) = [
            json.loads(str(value))
            for report in reports
            for key, value in report.user_properties
            if key == RESULT
        ]
        if result["status"] in ("fail", "crash", "timeout"):
            self.killed.add((name, requirement))
            about["result"] = result
        return {
            **about,
            "status": result["status"],
            "message": result["message"],
            "seconds": result["seconds"],
            "reached": reach.take(),
        }


def _by_requirement(item: pytest.Item) -> tuple[str, bool]:
    (marker,) = item.iter_markers("requirement")
    return marker.args[0], is_slow(item)


class Writer:
    """In the controller: writes every run as a line."""

    def __init__(self, config: pytest.Config) -> None:
        self.path = Path(config.getoption("--piecewise-runs"))
        self.path.write_text("")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Write the runs of one test."""
        for key, value in report.user_properties:
            if key == _RUNS:
                with self.path.open("a") as file:
                    for run in json.loads(str(value)):
                        file.write(json.dumps(run) + "\n")

    @pytest.hookimpl(optionalhook=True)
    def pytest_handlecrashitem(self, crashitem: str, report: pytest.TestReport) -> None:
        """A mutant killed the worker: all runs of that test are lost, which must be seen."""
        with self.path.open("a") as file:
            file.write(json.dumps({"test": crashitem, "status": "lost"}) + "\n")
