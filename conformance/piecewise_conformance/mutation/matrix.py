"""The pytest plugin of the kill matrix.

One pytest process collects the suite and runs it on the instrumented reference, which must pass and
shows what each test reaches. By then the process has imported everything and captured every program
with Dynamo. The rest happens in forks of it, as many at a time as there are cores. Each plants one
mutant and forks once more for its tests, which run until one fails; the tests that are left run in
the next fork. So every failure is seen in a process in which nothing has failed before, no mutant
ever sees what another one left behind, and a mutant that crashes or hangs costs one fork.
"""

from __future__ import annotations

import gc
import json
import os
import time
import traceback
from collections import Counter, deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import pytest

from ..core import coverage, environment
from ..core.suite_scan import split_node
from ..isolation import fork_server
from ..isolation.watchdog import Watch, kill_overdue, stack_file, why_dead
from ..reporting.expectations import find_expectations, load_expectations
from ..runner.plugin import SUBJECT
from ..runner.selection import is_slow
from ..runner.worker import RESULT
from ..testkit.capture_cache import reuse
from . import subjects
from .catalogue import Mutant, catalogue
from .instrument import INSTRUMENTED
from .selection import Selection, SuiteTest, declaring_here

Run = dict[str, Any]  # one test on one subject
Note = Callable[[Run], None]  # keeps a run

FAILED = ("fail", "crash", "timeout")
PASSED = ("pass", "unsupported", "not-run")

_POLL = 0.01  # seconds between two looks at the forks


def pytest_addoption(parser: pytest.Parser) -> None:
    """What to find out, and where it goes."""
    parser.addoption("--piecewise-task", required=True, help="JSON, written by run_matrix")
    parser.addoption("--piecewise-outcome", required=True, help="where the runs go, as JSON")


def pytest_configure(config: pytest.Config) -> None:
    """Replace pytest's loop over the tests."""
    config.pluginmanager.register(Matrix(config), "piecewise-matrix")


class Matrix:
    """Runs the suite on the reference, then what is selected of it on the mutants."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.task = json.loads(Path(config.getoption("--piecewise-task")).read_text())
        self.scratch = Path(config.getoption("--piecewise-scratch"))
        self.seconds = config.getoption("--piecewise-timeout")
        self.items: dict[str, pytest.Item] = {}
        self.runs: list[Run] = []
        self.result: dict[str, Any] = {}  # of the test that ran last
        self.kills: Counter[str] = Counter()  # by test: how many mutants it has failed
        reuse(True)
        os.fsync = lambda fd: None  # tests kill processes and pull no plugs; disks are slow

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take the result of a test from its last report."""
        for name, value in report.user_properties:
            if name == RESULT:
                self.result = json.loads(str(value))

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run the reference, then the mutants, and write all runs."""
        if session.testsfailed:
            raise session.Interrupted("a module of the suite cannot be collected")
        self.items = {item.nodeid: item for item in session.items if not _is_known_to_fail(item)}
        began = time.monotonic()
        baseline = self._on_reference()
        seconds = time.monotonic() - began
        on_gpu = environment.missing("gpu") is None
        if all(run["status"] in PASSED for run in baseline):
            known = catalogue(Path(self.task["folder"]))
            mutants = {name: known[name] for name in self.task["mutants"]}
            if self.task["part"] or on_gpu:
                mutants = declaring_here(mutants, {run["id"] for run in baseline}, on_gpu=on_gpu)
            fork_server.start()
            gc.collect()
            gc.freeze()  # a collection in a fork would copy every page that it looks at
            self._on_mutants(mutants, [_as_test(r) for r in baseline if r["status"] == "pass"])
        outcome = {"baseline": baseline, "runs": self.runs, "on_gpu": on_gpu, "seconds": seconds}
        Path(self.config.getoption("--piecewise-outcome")).write_text(json.dumps(outcome))
        return True

    def _run(self, item: pytest.Item) -> Run:
        """``item`` run once, on the subject in the stash."""
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
        run = {key: self.result[key] for key in ("id", "status", "message", "seconds")}
        failed = {"result": self.result} if run["status"] in FAILED else {}
        return {"test": item.nodeid, "slow": is_slow(item), **run, **failed}

    def _on_reference(self) -> list[Run]:
        """Every test on the instrumented reference. Slow ones are taken to pass, untraced."""
        baseline: list[Run] = []

        def run_quick(note: Note) -> None:
            self.config.stash[SUBJECT] = subjects.load(INSTRUMENTED)
            for item in self.items.values():
                if not is_slow(item):
                    coverage.take()
                    note({**self._run(item), "reached": coverage.take()})

        if self.config.getoption("--piecewise-device") == "cpu":
            run_quick(baseline.append)
        else:  # a process that has used CUDA cannot be forked
            baseline += self._runs_of(self._fork(run_quick), wait=True) or []
        for node, item in self.items.items():
            if is_slow(item):
                (marker,) = item.iter_markers("requirement")
                about = {"test": node, "id": marker.args[0], "slow": True, "status": "pass"}
                baseline.append({**about, "message": "", "seconds": 0.0, "reached": []})
        return baseline

    def _on_mutants(self, mutants: dict[str, Mutant], tests: list[SuiteTest]) -> None:
        selection = Selection(tests, thorough=self.task["thorough"])
        waiting = deque((each, selection.tests_of(each)) for each in mutants.values())
        running: dict[int, Mutant] = {}
        while waiting or running:
            while waiting and len(running) < self.task["jobs"]:
                mutant, chosen = waiting.popleft()
                chosen.sort(key=partial(self._rank, mutant))
                if chosen:
                    running[self._fork(partial(self._on_mutant, mutant, chosen))] = mutant
            time.sleep(_POLL)
            kill_overdue(self.scratch, self.seconds)
            for child in list(running):
                if (runs := self._runs_of(child)) is not None:
                    mutant = running.pop(child)
                    self.runs += [{**run, "subject": mutant.name} for run in runs]
                    self.kills.update(run["test"] for run in runs if run["status"] in FAILED)

    def _rank(self, mutant: Mutant, test: SuiteTest) -> tuple[bool, int]:
        """Declared requirements first, and of their tests those that failed most mutants so far."""
        return test.requirement not in mutant.fails, -self.kills[test.node]

    def _on_mutant(self, mutant: Mutant, tests: list[SuiteTest], note: Note) -> None:
        """In a fork: plant ``mutant`` and have forks run ``tests``, each until one fails."""
        self.config.stash[SUBJECT] = subjects.subject_of(mutant)
        gc.freeze()
        while tests:
            child = self._fork(partial(self._until_one_fails, tests))
            runs = self._runs_of(child, wait=True) or []
            for run in runs:
                note(run)
            if not any(run["id"] for run in runs):
                return  # the fork could not even begin
            done = {run["test"] for run in runs}
            failed = {run["id"] for run in runs if run["status"] in FAILED}
            # One failure of a requirement is as good as ten.
            tests = [t for t in tests if t.node not in done and t.requirement not in failed]

    def _until_one_fails(self, tests: list[SuiteTest], note: Note) -> None:
        for test in tests:
            note({"test": test.node, "id": test.requirement, "status": "running"})
            run = self._run(self.items[test.node])
            note(run)
            if run["status"] in FAILED:
                return

    # -- forks -----------------------------------------------------------------------------------

    def _fork(self, work: Callable[[Note], None]) -> int:
        """Do ``work`` in a fork, which notes runs; the number of the process."""
        child = os.fork()
        if child == 0:
            self._in_fork(work)
        return child

    def _in_fork(self, work: Callable[[Note], None]) -> NoReturn:
        own = str(os.getpid())
        with (self.scratch / f"runs-{own}.jsonl").open("w") as file:
            note: Note = lambda run: print(json.dumps(run), file=file, flush=True)  # noqa: E731
            try:
                fork_server.use_in_fork()
                worker: Any = self.config.pluginmanager.get_plugin("piecewise")
                worker.go_on_in_fork(Watch(stack_file(self.scratch, own), self.seconds))
                work(note)
                os._exit(0)
            except BaseException:
                note({"status": "raised", "message": traceback.format_exc()[-2000:]})
        os._exit(1)

    def _runs_of(self, child: int, *, wait: bool = False) -> list[Run] | None:
        """The runs that a fork noted; None if it has not ended, and nobody waits for that.

        A fork that died in a test has that run with the status of its end; one that died outside of
        a test has an error.
        """
        ended, status = os.waitpid(child, 0 if wait else os.WNOHANG)
        if not ended:
            return None
        path = self.scratch / f"runs-{child}.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        noted = [json.loads(line) for line in lines]
        raised = [noted.pop()["message"]] if noted and noted[-1]["status"] == "raised" else []
        runs = [run for run in noted if run["status"] != "running"]
        code = os.waitstatus_to_exitcode(status)
        last = noted[-1] if noted else {"test": "none", "id": "", "status": ""}
        in_test = last["status"] == "running"
        if code or in_test:  # a subject may end its process with status 0
            died, message = why_dead(stack_file(self.scratch, str(child)), code)
            about = {
                "status": died.value if in_test else "error",
                "message": (raised or [message])[0],
            }
            runs.append({**last, **about, "slow": False, "seconds": 0.0})
        for kept in self.scratch.glob(f"*-{child}.*"):
            kept.unlink()
        return runs


def _is_known_to_fail(item: pytest.Item) -> bool:
    """Whether the reference itself fails ``item`` with some torch: it can judge no mutant."""
    path = find_expectations("reference")
    known = load_expectations(path) if path is not None else []
    (marker,) = item.iter_markers("requirement")
    return any(each.covers(marker.args[0], split_node(item.nodeid)[1]) for each in known)


def _as_test(run: Run) -> SuiteTest:
    return SuiteTest(run["test"], run["id"], run["slow"], tuple(run["reached"]))
