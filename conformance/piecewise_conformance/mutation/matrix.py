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
from ..core.requirements import load as load_requirements
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
from .selection import Selection, SuiteTest, UntilKilled, declaring_here

Run = dict[str, Any]  # one test on one subject
Note = Callable[[Run], None]  # keeps a run

FAILED = ("fail", "crash", "timeout")
PASSED = ("pass", "unsupported", "not-run")

_POLL = 0.01  # seconds between two looks at the forks


def pytest_addoption(parser: pytest.Parser) -> None:
    """What to find out, and where it goes."""
    parser.addoption("--piecewise-task", required=True, help="the task, as JSON")
    parser.addoption("--piecewise-outcome", required=True, help="the file for the runs, as JSON")


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
        self.until_killed: bool = self.task.get("until_killed", False)
        reuse(True)
        os.fsync = lambda fd: None  # tests kill processes and pull no plugs; disks are slow

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take the result of a test from its last report."""
        results = [
            json.loads(str(value)) for name, value in report.user_properties if name == RESULT
        ]
        for result in results:  # the test's own, and perhaps one for global state that it changed
            if result is results[0] or self.result["status"] in PASSED:
                self.result = result

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
            tests = [_as_test(r) for r in baseline if r["status"] == "pass"]
            if self.until_killed:
                tests = self._that_kill(tests)
            self._on_mutants(mutants, tests)
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
        if self.until_killed:
            return baseline + (self._slow_traced() if self.task["traces"] else [])
        for node, item in self.items.items():
            if is_slow(item):
                (marker,) = item.iter_markers("requirement")
                about = {"test": node, "id": marker.args[0], "slow": True, "status": "pass"}
                baseline.append({**about, "message": "", "seconds": 0.0, "reached": []})
        return baseline

    def _slow_traced(self) -> list[Run]:
        """Every slow test on the instrumented reference, each in a fork, or from an earlier run.

        One that does not pass there, or takes a good part of the time that a mutant has, is of no
        use on mutants.
        """
        path = Path(self.task["traces"])
        lines = path.read_text().splitlines() if path.exists() else []
        kept = {run["test"]: run for run in map(json.loads, lines)}

        def run_one(item: pytest.Item, note: Note) -> None:
            self.config.stash[SUBJECT] = subjects.load(INSTRUMENTED)
            coverage.take()
            note({**self._run(item), "reached": coverage.take()})

        fork_server.start()
        slow = {node: item for node, item in self.items.items() if is_slow(item)}
        with path.open("a") as file:
            for node, item in slow.items():
                if node not in kept:
                    child = self._fork(partial(run_one, item))
                    while (runs := self._runs_of(child)) is None:
                        time.sleep(_POLL)
                        kill_overdue(self.scratch, self.seconds)
                    kept[node] = {**(runs or [{"status": "error"}])[-1], "test": node}
                    print(json.dumps(kept[node]), file=file, flush=True)
        found = [kept[node] for node in slow]
        return [r for r in found if r["status"] == "pass" and r["seconds"] < self.seconds / 4]

    def _that_kill(self, tests: list[SuiteTest]) -> list[SuiteTest]:
        requirements = load_requirements()
        return [test for test in tests if requirements[test.requirement].level == "MUST"]

    def _on_mutants(self, mutants: dict[str, Mutant], tests: list[SuiteTest]) -> None:
        kind = UntilKilled if self.until_killed else Selection
        selection = kind(tests, thorough=self.task["thorough"])
        keep: Callable[[Mutant, list[Run]], None] = lambda mutant, runs: None  # noqa: E731
        if isinstance(selection, UntilKilled):
            keep = partial(self._keep, selection)
        waiting = deque((each, selection.tests_of(each)) for each in mutants.values())
        running: dict[int, Mutant] = {}
        while waiting or running:
            while waiting and len(running) < self.task["jobs"]:
                mutant, chosen = waiting.popleft()
                chosen.sort(key=partial(self._rank, mutant))
                if not chosen:
                    keep(mutant, [])
                if chosen:
                    running[self._fork(partial(self._on_mutant, mutant, chosen))] = mutant
            time.sleep(_POLL)
            kill_overdue(self.scratch, self.seconds)
            for child in list(running):
                if (runs := self._runs_of(child)) is not None:
                    mutant = running.pop(child)
                    keep(mutant, runs)
                    self.runs += [{**run, "subject": mutant.name} for run in runs]
                    self.kills.update(run["test"] for run in runs if run["status"] in FAILED)

    def _keep(self, selection: UntilKilled, mutant: Mutant, runs: list[Run]) -> None:
        """Write down what became of a mutant that declares nothing."""
        of_note = [run for run in runs if run["status"] not in PASSED]
        of_note.sort(key=lambda run: run["status"] not in FAILED)
        killing = {key: of_note[0][key] for key in ("test", "id", "status")} if of_note else None
        message = of_note[0]["message"][:500] if of_note else ""
        seconds = round(sum(run["seconds"] for run in runs), 1)
        about = {"mutant": mutant.name, "tests": len(runs), "seconds": seconds}
        about["reached"] = selection.reached(mutant)
        with Path(self.task["ended"]).open("a") as file:
            print(json.dumps({**about, "killed_by": killing, "message": message}), file=file)

    def _rank(self, mutant: Mutant, test: SuiteTest) -> tuple[bool, bool, int, int]:
        """Declared requirements first, and of their tests those that failed most mutants so far."""
        declared = test.requirement in mutant.fails
        few = len(test.reached) if self.until_killed else 0  # first what is about little else
        return not declared, self.until_killed and test.slow, -self.kills[test.node], few

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
            if self.until_killed and any(run["status"] in FAILED for run in runs):
                return
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
    reached = tuple(run["reached"])
    return SuiteTest(run["test"], run["id"], run["slow"], reached, run["seconds"])
