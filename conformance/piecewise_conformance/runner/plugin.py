"""The pytest plugin of the conformance run: subject, statuses, report.

Loaded with ``-p piecewise_conformance.runner.plugin`` and by nothing else, so that an installation
of the harness changes nobody's own pytest runs. torch is imported late, so that usage errors come
at once.

The run is spread over workers by pytest-xdist. A worker judges its tests; the controller, which
runs none, writes the report and says what became of a worker that died.
"""

from __future__ import annotations

import datetime
import faulthandler
import gc
import json
import random
import sys
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ..core import environment
from ..core.outcome import PASSED, Outcome, clip, outcome_of
from ..core.requirements import FULL, SMOKE, Requirement, SpecError, load
from ..core.suite_scan import Citation, SuiteError, scan, split_node
from ..core.verdict import NotRun, Status
from ..isolation.isolation import Settled, settle_hypothesis, settle_torch
from ..isolation.watchdog import Watch, end_with, returncode_of, stack_file, why_dead
from ..reporting.expectations import (
    Expected,
    find_expectations,
    load_expectations,
    shown_path,
)
from ..reporting.report import ReportError, ReportWriter, Result, how_to_run
from ..reporting.shards import Shard
from ..subject.loading import LoadError, load_subject
from .plugin_options import pytest_addoption as pytest_addoption  # a hook
from .preflight import before
from .selection import a_few, dealt

if TYPE_CHECKING:
    from ..subject.subject import Subject

RESULT = "piecewise_result"  # the property of a test report that holds the result
_MAX_STILLBORN = 5  # workers that die in a row without having begun a test

# What the controller leaves in the scratch folder for the runner.
LOADING = "loading"  # there while the subject is being loaded
BEGUN = "begun"  # the report has its header
SELECTED = "selected.json"  # the node IDs of what is to run

_OUTCOME = pytest.StashKey[Outcome]()
SUBJECT: pytest.StashKey[Subject] = pytest.StashKey()
_SECONDS = pytest.StashKey[float]()


def pytest_configure(config: pytest.Config) -> None:
    """Read spec and suite, then load the subject: what is wrong with them is a usage error."""
    config.addinivalue_line("markers", "requirement(id): the requirement that the test judges")
    config.addinivalue_line("markers", "needs(*names): what the test needs of the machine")
    config.addinivalue_line("markers", "slow: it takes seconds")
    config.addinivalue_line("markers", "together(name): one worker takes those of one name")
    if config.option.help or config.option.version:
        return
    scratch = Path(config.getoption("--piecewise-scratch"))
    worker = getattr(config, "workerinput", None)
    try:
        requirements = load(_folder(config, "--piecewise-spec"))
        citations = _checked(scan(_folder(config, "--piecewise-suite")), requirements)
        if worker is None:
            subject = _load(config, scratch)
            plugin: Judge | Clerk = Clerk(config, subject, requirements, citations, scratch)
        else:
            # A subject that hangs where it did not hang before must not hold up the run either.
            watch = Watch(
                stack_file(scratch, worker["workerid"]), config.getoption("--piecewise-timeout")
            )
            watch.begin()
            config.stash[SUBJECT] = load_subject(_backend(config))
            watch.end()
            plugin = Judge(config, requirements, watch, worker)
    except (SpecError, SuiteError, LoadError, ReportError) as error:
        raise pytest.UsageError(str(error)) from error
    config.pluginmanager.register(plugin, "piecewise")


def _load(config: pytest.Config, scratch: Path) -> Subject:
    """The subject; should its import hang or die, the runner finds the stack."""
    watch = Watch(stack_file(scratch, "load"), config.getoption("--piecewise-timeout"))
    watch.begin()
    (scratch / LOADING).touch()
    try:
        return load_subject(_backend(config))
    finally:
        (scratch / LOADING).unlink()
        watch.end()
        faulthandler.disable()


def _backend(config: pytest.Config) -> str:
    return str(config.getoption("--piecewise-backend"))


def _folder(config: pytest.Config, option: str) -> Path | None:
    value = config.getoption(option)
    return Path(value) if value else None


def _profiles(config: pytest.Config) -> list[str]:
    return sorted(set(config.getoption("--piecewise-profile"))) or [FULL]


def _checked(
    citations: dict[str, Citation], requirements: dict[str, Requirement]
) -> dict[str, Citation]:
    for each in citations.values():
        found = requirements.get(each.requirement)
        if found is None or found.retired:
            what = "which the spec does not have" if found is None else "which is retired"
            raise SuiteError(f"{each.path}:{each.line}: cites {each.requirement}, {what}")
    return citations


def how_alone(config: pytest.Config, id: str, nodeid: str) -> str:
    """The command that runs one test as this run did."""
    return how_to_run(
        _backend(config),
        id,
        split_node(nodeid)[1],
        device=config.getoption("--piecewise-device"),
        seed=config.getoption("--piecewise-seed"),
    )


@pytest.fixture
def subject(request: pytest.FixtureRequest) -> Subject:
    """The backend under test; the kill matrix sets another one for each run of a test."""
    return request.node.stash.get(SUBJECT, request.config.stash[SUBJECT])


@pytest.fixture(scope="session")
def device(pytestconfig: pytest.Config) -> str:
    """The device that the run is for: cpu or cuda."""
    return str(pytestconfig.getoption("--piecewise-device"))


class Judge:
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
        self.profiles = frozenset(_profiles(config))
        self.seed: int = config.getoption("--piecewise-seed")
        self.done = {tuple(each) for each in workerinput["piecewise_done"]}
        shard = config.getoption("--piecewise-shard")
        self.shard = Shard.parse(shard) if shard else Shard(1, 1)
        self.workers: int = workerinput["workercount"]
        self.settled = Settled(int(config.getoption("--piecewise-memory")))
        settle_hypothesis()
        settle_torch()

    # -- selection ------------------------------------------------------------------------------

    def _requirement(self, item: pytest.Item) -> Requirement:
        cited = [marker.args[0] for marker in item.iter_markers("requirement")]
        if len(cited) != 1 or cited[0] not in self.requirements:
            raise pytest.UsageError(f"{item.nodeid} must cite one known requirement, not {cited}")
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
        if self.profiles == {SMOKE}:
            wanted = a_few(wanted)
        asked = set(wanted)
        for item in items:
            key = self._requirement(item).id, split_node(item.nodeid)[1]
            wanted_here = item in asked and self.shard.has(*key) and key not in self.done
            (kept if wanted_here else left).append(item)
        if left:
            config.hook.pytest_deselected(items=left)
        # What is captured for a test lasts: tests of one graph go, as far as may be, to one worker.
        items[:] = dealt(sorted(kept, key=_graph_name), self.workers)

    def pytest_collection_finish(self) -> None:
        """Let no test look for garbage in what is there by now."""
        self.settled.freeze()

    def pytest_unconfigure(self) -> None:
        """Give it back: libraries complain at the end of what is still there."""
        gc.unfreeze()

    # -- one test -------------------------------------------------------------------------------

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Watch the time of each test."""
        self.watch.begin()
        self.settled.begin()
        try:
            return (yield)
        finally:
            self.settled.end()
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
        self.settled.end_if_forked()
        report = yield
        report.sections = []  # what a subject prints may be megabytes
        if report.when == "setup":  # also when the kill matrix runs a test once more
            item.stash[_OUTCOME], item.stash[_SECONDS] = PASSED, 0.0
        outcome = item.stash[_OUTCOME]
        if hasattr(report, "wasxfail"):
            status = Status.XFAIL if report.skipped else Status.XPASS
            outcome = Outcome(status, clip(report.wasxfail))
        elif call.excinfo is not None:
            if self.settled.out_of_memory(call.excinfo.value):
                self.watch.out_of_memory(self.settled.memory)
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
                expected=outcome.expected,
                got=outcome.got,
                program=outcome.program,
                how_to_run=how_alone(self.config, found.id, item.nodeid),
            )
            report.user_properties.append((RESULT, json.dumps(result.to_json())))
        return report


def _graph_name(item: pytest.Item) -> str:
    """The graph or program that a test is about; those about none come first."""
    callspec = getattr(item, "callspec", None)
    return str(callspec.params.get("name", "")) if callspec else ""


class Clerk:
    """In the controller: writes the report, and words the end of workers that died."""

    def __init__(
        self,
        config: pytest.Config,
        subject: Subject,
        requirements: dict[str, Requirement],
        citations: dict[str, Citation],
        scratch: Path,
    ) -> None:
        self.config = config
        self.requirements = requirements
        self.citations = citations
        self.scratch = scratch
        self.writer = ReportWriter(Path(config.getoption("--piecewise-report")))
        header = self._header(subject)
        path = header["expectations"]
        accept = bool(config.getoption("--piecewise-accept"))
        self.expected = Expected(
            load_expectations(Path(path), accept=accept) if path else (), header
        )
        self.done: list[Result] = []
        if config.getoption("--piecewise-resume"):
            self.done = self.writer.go_on(header)
        else:
            self.writer.start(header)
        (scratch / BEGUN).touch()
        if runner := config.getoption("--piecewise-runner"):
            end_with(runner)
        self.stillborn = 0

    def _header(self, subject: Subject) -> dict[str, Any]:
        option = self.config.getoption
        seconds = option("--piecewise-timeout")
        return {
            "subject": {"name": subject.name, "spec": subject.origin, "version": subject.version},
            "versions": environment.versions(),
            "device": option("--piecewise-device"),
            "seed": option("--piecewise-seed"),
            "profiles": _profiles(self.config),
            "keyword": self.config.option.keyword,
            "shard": option("--piecewise-shard") or None,
            "expectations": self._expectations(subject),
            "probe": before(subject, _folder(self.config, "--piecewise-suite"), seconds),
            "command": option("--piecewise-command"),
            "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        }

    def _expectations(self, subject: Subject) -> str | None:
        given = self.config.getoption("--piecewise-expectations")
        if given and not Path(given).exists() and self.config.getoption("--piecewise-accept"):
            return None  # it is going to be written
        path = Path(given) if given else find_expectations(subject.name)
        return shown_path(path) if path else None

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell a worker what an earlier run has done."""
        node.workerinput["piecewise_done"] = [each.key for each in self.done]

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: Any, ids: list[str]) -> None:
        """Leave word of what is going to run, for the runner to miss what did not."""
        fresh = self.scratch / "selected.new"
        fresh.write_text(json.dumps(list(ids)))
        fresh.replace(self.scratch / SELECTED)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Write a result as soon as it is there."""
        for name, value in report.user_properties:
            if name == RESULT:
                self.stillborn = 0
                result = Result.from_json(json.loads(str(value)))
                self.writer.add(self.expected.judge(result))

    @pytest.hookimpl(optionalhook=True)
    def pytest_handlecrashitem(self, crashitem: str, report: pytest.TestReport) -> None:
        """A worker died in a test: that is the result of the test."""
        self.stillborn = 0
        node: Any = report.node  # set by xdist
        code = returncode_of(node)
        status, message = why_dead(stack_file(self.scratch, node.gateway.id), code)
        plain, case = split_node(crashitem)
        cited = self.citations[plain].requirement
        result = Result(
            id=cited,
            case=case,
            status=status,
            message=clip(message),
            level=self.requirements[cited].level,
            how_to_run=how_alone(self.config, cited, crashitem),
        )
        self.writer.add(self.expected.judge(result))

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """Stop when new workers die before their first test: xdist would go on for ever."""
        if not error:
            return
        self.stillborn += 1
        if self.stillborn > _MAX_STILLBORN:
            _, message = why_dead(stack_file(self.scratch, node.gateway.id), returncode_of(node))
            pytest.exit(f"workers die before their first test: {message}", returncode=3)
