"""The options by which ``run`` tells pytest what the user asked for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ..core.requirements import FULL, PROFILES
from ..core.suite_scan import split_node
from ..reporting.expectations import shown_path
from ..reporting.report import how_to_run
from ..reporting.selected import Selected

# What the controller leaves in the scratch folder for the runner.
LOADING = "loading"  # there while the subject is being loaded
BEGUN = "begun"  # the report has its header
SELECTED = "selected.json"  # the node IDs of what is to run

ALONE = "alone"  # the folder in that of the report into which a test that runs alone reports


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options; strings and numbers only, since xdist sends them to the workers."""
    group = parser.getgroup("piecewise conformance")
    group.addoption("--piecewise-backend", default="reference", metavar="SPEC")
    group.addoption("--piecewise-profile", action="append", default=[], choices=[*PROFILES, FULL])
    group.addoption("--piecewise-device", default="cpu", choices=["cpu", "cuda"])
    group.addoption("--piecewise-report", metavar="FILE", help="where report.jsonl goes")
    group.addoption("--piecewise-resume", action="store_true")
    group.addoption("--piecewise-selected", metavar="FILE", help="families, ids and cases, as JSON")
    group.addoption("--piecewise-seed", type=int, default=0)
    group.addoption("--piecewise-timeout", type=float, default=300.0, metavar="SECONDS")
    group.addoption("--piecewise-shard", default="", metavar="K/N")
    group.addoption("--piecewise-expectations", default="", metavar="FILE")
    group.addoption("--piecewise-runner", type=int, default=0, metavar="PID")
    group.addoption("--piecewise-accept", action="store_true")
    group.addoption("--piecewise-memory", type=int, default=0, metavar="MIB")
    group.addoption("--piecewise-suite", metavar="FOLDER")
    group.addoption("--piecewise-spec", metavar="FOLDER")
    group.addoption("--piecewise-scratch", metavar="FOLDER", help="a folder of this run alone")
    group.addoption("--piecewise-command", default="", help="what the user typed, for the header")


def backend_of(config: pytest.Config) -> str:
    """The SPEC of the backend under test."""
    return str(config.getoption("--piecewise-backend"))


def folder_of(config: pytest.Config, option: str) -> Path | None:
    """The folder that ``option`` names, or None."""
    value = config.getoption(option)
    return Path(value) if value else None


def profiles_of(config: pytest.Config) -> list[str]:
    """The profiles of the run; all requirements if the user named none."""
    return sorted(set(config.getoption("--piecewise-profile"))) or [FULL]


def selected_of(config: pytest.Config) -> Selected:
    """The families, requirements and cases that the user named."""
    path = folder_of(config, "--piecewise-selected")
    return (
        Selected.from_header(json.loads(path.read_text(encoding="utf-8"))) if path else Selected()
    )


def how_alone(config: pytest.Config, id: str, nodeid: str) -> str:
    """The command that runs one test as this run did."""
    report = config.getoption("--piecewise-report")
    return how_to_run(
        backend_of(config),
        id,
        split_node(nodeid)[1],
        out=shown_path(Path(report).parent / ALONE) if report else "",
        device=config.getoption("--piecewise-device"),
        seed=config.getoption("--piecewise-seed"),
    )
