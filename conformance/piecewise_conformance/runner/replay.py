"""Judge the test in a file by itself, as a run would: what the script of a failure calls."""

from __future__ import annotations

import faulthandler
import json
import os
import tempfile
from pathlib import Path

import pytest

from ..core.outcome import Outcome
from ..core.verdict import Status
from ..reporting.report import Result
from ..reporting.selected import Selected
from ..repros.confirm import SAYS
from .run import Settings, environment_of, suite_command
from .worker import RESULT, WorkerPlugin

FAILED, HELD, NO_VERDICT = 1, 0, 3
_FOR_EVER = 1e6  # seconds: a test that hangs shall hang where a person can look at it


def main(
    script: str,
    id: str,
    case: str,
    *,
    backend: str,
    seed: int = 0,
    device: str = "cpu",
    memory: int = 0,
    suite: str = "",
    spec: str = "",
) -> int:
    """Judge ``case`` of the test in ``script``; the exit status of the script.

    ``suite`` and ``spec`` are folders; by default those of the harness.
    """
    with tempfile.TemporaryDirectory(
        prefix="piecewise-test-", ignore_cleanup_errors=True
    ) as folder:
        settings = Settings(
            backend=backend,
            device=device,
            seed=seed,
            memory=memory,
            timeout=_FOR_EVER,
            jobs=1,
            selected=Selected(ids=(id,), cases=(case,)),
            suite=Path(suite) if suite else None,
            spec=Path(spec) if spec else None,
        )
        environment = environment_of(settings, Path(folder))
        for name in os.environ.keys() - environment.keys():
            del os.environ[name]  # what a user has set for pytest runs of their own
        os.environ.update(environment)
        seen = _Seen()
        _, _, _, *arguments = suite_command(settings, Path(folder), Path(script).resolve())
        code = pytest.main([*arguments, "-q", "--no-summary"], plugins=[seen])
    if seen.result is None:
        why = f"{id} {case} gave no result (pytest returned {code})"
        print(f"{SAYS}{Status.NOT_RUN.value}: {why}", flush=True)
        return NO_VERDICT
    return tell(seen.result)


def tell(result: Result | Outcome) -> int:
    """Print what came of a test, and give the exit status that says the same."""
    if result.expected or result.got:
        print(f"expected  {result.expected}\ngot       {result.got}")
    print(f"{SAYS}{result.status.value}: {result.message}", flush=True)
    if result.status in (Status.FAIL, Status.CRASH):
        return FAILED
    return HELD if result.status is Status.PASS else NO_VERDICT


class _Seen:
    """A plugin that keeps the result, and lets a crash print where it happened."""

    def __init__(self) -> None:
        self.result: Result | None = None
        self.errors = os.dup(2)  # before pytest captures it

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_call(self) -> None:
        """Print the stack of a crash where a person sees it."""
        faulthandler.enable(self.errors)

    def pytest_unconfigure(self, config: pytest.Config) -> None:
        """Close the files of the watch."""
        if isinstance(worker := config.pluginmanager.get_plugin("piecewise"), WorkerPlugin):
            faulthandler.disable()
            worker.watch.close()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the result."""
        for name, value in report.user_properties:
            if name == RESULT:
                self.result = Result.from_json(json.loads(str(value)))
