"""The pytest plugin of the conformance run: it loads the subject and hands it to the tests.

Loaded with ``-p piecewise_conformance.runner.plugin`` and by nothing else, so that an installation
of the harness changes nobody's own pytest runs. torch is imported late, so that usage errors come
at once.

pytest-xdist spreads the run over workers. A worker judges its tests (:mod:`.worker`); the
controller, which runs none, writes the report (:mod:`.controller`). Without a report to write, as
in the kill matrix, one process runs the tests and there is no controller.
"""

from __future__ import annotations

import faulthandler
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ..core.requirements import Requirement, SpecError, load
from ..core.suite_scan import Citation, SuiteError, scan
from ..isolation.watchdog import Watch, stack_file
from ..reporting.report import ReportError
from ..subject.loading import LoadError, load_subject
from .controller import ControllerPlugin
from .plugin_options import LOADING, backend_of, folder_of
from .plugin_options import pytest_addoption as pytest_addoption  # a hook
from .worker import WorkerPlugin

if TYPE_CHECKING:
    from ..subject.subject import Subject

SUBJECT: pytest.StashKey[Subject] = pytest.StashKey()

_ALONE: dict[str, Any] = {"workerid": "alone", "workercount": 1, "piecewise_done": []}


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
    if worker is None and config.getoption("--piecewise-report") is None:
        worker = _ALONE
    try:
        requirements = load(folder_of(config, "--piecewise-spec"))
        citations = _checked(scan(folder_of(config, "--piecewise-suite")), requirements)
        plugin: WorkerPlugin | ControllerPlugin
        if worker is None:
            subject = _load(config, scratch)
            plugin = ControllerPlugin(config, subject, requirements, citations, scratch)
        else:
            # A subject that hangs where it did not hang before must not hold up the run either.
            watch = Watch(
                stack_file(scratch, worker["workerid"]), config.getoption("--piecewise-timeout")
            )
            watch.begin()
            config.stash[SUBJECT] = load_subject(backend_of(config))
            watch.end()
            plugin = WorkerPlugin(config, requirements, watch, worker)
    except (SpecError, SuiteError, LoadError, ReportError) as error:
        raise pytest.UsageError(str(error)) from error
    config.pluginmanager.register(plugin, "piecewise")


def _load(config: pytest.Config, scratch: Path) -> Subject:
    """The subject; should its import hang or die, the runner finds the stack."""
    watch = Watch(stack_file(scratch, "load"), config.getoption("--piecewise-timeout"))
    watch.begin()
    (scratch / LOADING).touch()
    try:
        return load_subject(backend_of(config))
    finally:
        (scratch / LOADING).unlink()
        watch.end()
        faulthandler.disable()


def _checked(
    citations: dict[str, Citation], requirements: dict[str, Requirement]
) -> dict[str, Citation]:
    for each in citations.values():
        found = requirements.get(each.requirement)
        if found is None or found.retired:
            what = "which is not in the spec" if found is None else "which is retired"
            raise SuiteError(f"{each.path}:{each.line}: the test cites {each.requirement}, {what}")
    return citations


@pytest.fixture
def subject(pytestconfig: pytest.Config) -> Subject:
    """The backend under test."""
    return pytestconfig.stash[SUBJECT]


@pytest.fixture(scope="session")
def device(pytestconfig: pytest.Config) -> str:
    """The device that the run is for: cpu or cuda."""
    return str(pytestconfig.getoption("--piecewise-device"))
