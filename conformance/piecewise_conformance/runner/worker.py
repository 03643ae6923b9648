"""The plugin of a worker: it selects tests, prepares each, and gives its result a status."""

from __future__ import annotations

import gc
import json
import os
import random
import sys
from collections.abc import Generator, Iterator
from typing import Any

import pytest

from ..core import environment
from ..core.outcome import PASSED, Outcome, clip, outcome_of
from ..core.requirements import SMOKE, Requirement
from ..core.suite_scan import split_node
from ..core.verdict import NotRun, Status
from ..isolation import global_state
from ..isolation.isolation import Isolation, settle_hypothesis, settle_torch
from ..isolation.watchdog import Watch
from ..isolation.working_folder import WorkingFolder
from ..reporting.report import Result
from ..reporting.shards import Shard
from .plugin_options import how_alone, profiles_of, selected_of
from .selection import a_few, dealt

RESULT = "piecewise_result"  # the property of a test report that holds the result

_OUTCOME = pytest.StashKey[Outcome]()
_SECONDS = pytest.StashKey[float]()
_FOLDER = pytest.StashKey[WorkingFolder]()
_GLOBALS = pytest.StashKey[dict[str, Any]]()  # as it was before the test
# The requirements that are watched in every test: what each must leave alone.
STATE, FILES = "BACKEND-005", "BACKEND-018"


class WorkerPlugin:
    """In a worker: selects tests, prepares each, and gives its result a status."""

    def __init__(
        self,
        config: pytest.Config,
        requirements: dict[str, Requirement],
        watch: Watch,
        workerinput: dict[str, Any],
    ) -> None:
        self.config = config
        self.requirements = requirements
        self.watch = watch
        self.profiles = frozenset(profiles_of(config))
        self.selected = selected_of(config)
        self.seed: int = config.getoption("--piecewise-seed")
        self.done = {tuple(each) for each in workerinput["piecewise_done"]}
        shard = config.getoption("--piecewise-shard")
        self.shard = Shard.parse(shard) if shard else Shard(1, 1)
        self.workers: int = workerinput["workercount"]
        self.isolation = Isolation(int(config.getoption("--piecewise-memory")))
        settle_hypothesis()
        settle_torch()

    def go_on_in_fork(self, watch: Watch) -> None:
        """Go on as the worker of this process, which was forked off the one that began."""
        self.watch.close()
        self.watch = watch
        self.isolation.process = os.getpid()

    # -- selection ------------------------------------------------------------------------------

    def _requirement(self, item: pytest.Item) -> Requirement:
        cited = [marker.args[0] for marker in item.iter_markers("requirement")]
        if len(cited) != 1 or cited[0] not in self.requirements:
            raise pytest.UsageError(
                f"{item.nodeid} cites {cited}; expected exactly one known requirement"
            )
        return self.requirements[cited[0]]

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        """Let ``-k`` know a test by its requirement and case, as the report shows them."""
        item.extra_keyword_matches.update((self._requirement(item).id, split_node(item.nodeid)[1]))

    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        """Keep what the profiles ask for and an earlier run has not done."""
        kept: list[pytest.Item] = []
        left: list[pytest.Item] = []
        wanted = [i for i in items if self._requirement(i).selected_by(self.profiles)]
        if self.profiles == {SMOKE} and not self.selected.cases:
            wanted = a_few(wanted)
        asked = set(wanted)
        for item in items:
            key = self._requirement(item).id, split_node(item.nodeid)[1]
            wanted_here = item in asked and key not in self.done
            wanted_here &= self.shard.has(*key) and self.selected.has(*key)
            (kept if wanted_here else left).append(item)
        if left:
            config.hook.pytest_deselected(items=left)
        # What is captured for a test lasts: tests of one graph go, as far as may be, to one worker.
        items[:] = dealt(sorted(kept, key=_graph_name), self.workers)

    def pytest_collection_finish(self) -> None:
        """Let no test look for garbage in what is there by now."""
        self.isolation.freeze()

    def pytest_unconfigure(self) -> None:
        """Give it back: libraries complain at the end of what is still there."""
        gc.unfreeze()

    # -- one test -------------------------------------------------------------------------------

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Watch the time of each test, and what it leaves behind."""
        with WorkingFolder() as item.stash[_FOLDER]:
            self.watch.begin()
            self.isolation.begin()
            if "torch._dynamo" in sys.modules:  # else nothing has been compiled yet
                item.stash[_GLOBALS] = global_state.watched()
            try:
                return (yield)
            finally:
                self.isolation.end()
                self.watch.end()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Every test starts alike; one whose needs the machine does not meet does not start."""
        wanted = [name for marker in item.iter_markers("needs") for name in marker.args]
        if self.config.getoption("--piecewise-device") == "cuda":
            wanted.insert(0, "gpu")
        for name in wanted:
            if reason := environment.missing(name):
                raise NotRun(reason)
        random.seed(self.seed)
        if torch := sys.modules.get("torch"):
            torch.manual_seed(self.seed)
        if "torch._dynamo" in sys.modules:
            from ..testkit.capture_cache import settle

            settle()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Turn outcomes into a status; the report of the last phase carries the result."""
        self.isolation.end_if_forked()
        report = yield
        report.sections = []  # what a subject prints may be megabytes
        if report.when == "setup":  # also when the kill matrix runs a test once more
            item.stash[_OUTCOME], item.stash[_SECONDS] = PASSED, 0.0
        outcome = item.stash[_OUTCOME]
        if hasattr(report, "wasxfail"):
            status = Status.XFAIL if report.skipped else Status.XPASS
            outcome = Outcome(status, clip(report.wasxfail))
        elif call.excinfo is not None:
            if self.isolation.out_of_memory(call.excinfo.value):
                self.watch.out_of_memory(self.isolation.memory)
            mine = outcome_of(call.excinfo.value)
            # What goes wrong in cleaning up adds nothing to a test that failed already.
            if report.when != "teardown" or outcome.status is Status.PASS:
                outcome = mine
            report.longrepr = clip(f"{mine.status.value}: {mine.message}\n{report.longreprtext}")
        elif report.failed:  # strict xfail that passed
            outcome = Outcome(Status.XPASS, clip(report.longreprtext))
        item.stash[_OUTCOME] = outcome
        seconds = item.stash[_SECONDS] + report.duration
        item.stash[_SECONDS] = seconds
        if report.when == "teardown":
            found = self._requirement(item)
            result = Result(
                id=found.id,
                case=split_node(item.nodeid)[1],
                status=outcome.status,
                message=outcome.message,
                seconds=round(seconds, 3),
                level=found.level,
                consequence=found.consequence,
                expected=outcome.expected,
                got=outcome.got,
                program=outcome.program,
                how_to_run=how_alone(self.config, found.id, item.nodeid),
            )
            report.user_properties.append((RESULT, json.dumps(result.to_json())))
            for leak in self._leaks(item):
                report.user_properties.append((RESULT, json.dumps(leak.to_json())))
        return report

    def _leaks(self, item: pytest.Item) -> Iterator[Result]:
        """A failure of STATE or FILES for what the test, which has ended, left behind.

        The test judges another requirement, so its own result stays. Torch's settings are put back
        for the tests after it; what else was changed is reported here once.
        """
        if left := item.stash[_FOLDER].files():
            yield from self._leak(item, FILES, "the working folder", "empty", ", ".join(left))
        if (before := item.stash.get(_GLOBALS, None)) is None:
            return
        if found := global_state.changes(before, global_state.watched()):
            global_state.put_back_settings(before)
            yield from self._leak(item, STATE, *found[0])

    def _leak(self, item: pytest.Item, id: str, what: str, had: str, has: str) -> Iterator[Result]:
        if id not in self.requirements:
            return
        judged, case = self._requirement(item).id, split_node(item.nodeid)[1]
        yield Result(
            id=id,
            case=f"after {judged} {case}",
            status=Status.FAIL,
            message=f"{what} was changed by the calls of {judged} {case}",
            seconds=0.0,
            level=self.requirements[id].level,
            consequence=self.requirements[id].consequence,
            expected=had,
            got=has,
            how_to_run=how_alone(self.config, judged, item.nodeid),
        )


def _graph_name(item: pytest.Item) -> str:
    """The graph or program that a test is about; those about none come first."""
    callspec = getattr(item, "callspec", None)
    return str(callspec.params.get("name", "")) if callspec else ""
