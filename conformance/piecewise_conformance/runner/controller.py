"""The plugin of the controller: it writes the report, and explains the end of workers that died."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import pytest

from ..core import environment
from ..core.outcome import clip
from ..core.requirements import Requirement
from ..core.suite_scan import Citation, split_node
from ..isolation.watchdog import end_with, returncode_of, stack_file, why_dead
from ..reporting.expectations import (
    Expected,
    check_ids,
    find_expectations,
    load_expectations,
    shown_path,
)
from ..reporting.report import DIGEST, ReportWriter, Result
from ..subject.digest import digest_of
from ..subject.subject import Subject
from .plugin_options import BEGUN, SELECTED, folder_of, how_alone, profiles_of, selected_of
from .preflight import before
from .worker import RESULT

_MAX_STILLBORN = 5  # workers that die in a row without having begun a test


class ControllerPlugin:
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
        entries = load_expectations(Path(path), accept=accept) if path else []
        check_ids(path, entries, requirements)
        self.expected = Expected(entries, header)
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
            DIGEST: digest_of(subject),
            "versions": environment.versions(),
            "device": option("--piecewise-device"),
            "seed": option("--piecewise-seed"),
            "profiles": profiles_of(self.config),
            "keyword": self.config.option.keyword,
            **selected_of(self.config).to_header(),
            "shard": option("--piecewise-shard") or None,
            "expectations": self._expectations(subject),
            "probe": before(subject, folder_of(self.config, "--piecewise-suite"), seconds),
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
            consequence=self.requirements[cited].consequence,
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
