"""The options by which ``run`` tells pytest what the user asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..core.requirements import FULL, PROFILES
from ..core.suite_scan import split_node
from ..reporting.report import how_to_run

# What the controller leaves in the scratch folder for the runner.
LOADING = "loading"  # there while the subject is being loaded
BEGUN = "begun"  # the report has its header
SELECTED = "selected.json"  # the node IDs of what is to run


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options; strings and numbers only, since xdist sends them to the workers."""
    group = parser.getgroup("piecewise conformance")
    group.addoption("--piecewise-backend", default="reference", metavar="SPEC")
    group.addoption("--piecewise-profile", action="append", default=[], choices=[*PROFILES, FULL])
    group.addoption("--piecewise-device", default="cpu", choices=["cpu", "cuda"])
    group.addoption("--piecewise-report", metavar="FILE", help="where report.jsonl goes")
    group.addoption("--piecewise-resume", action="store_true")
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


def how_alone(config: pytest.Config, id: str, nodeid: str) -> str:
    """The command that runs one test as this run did."""
    return how_to_run(
        backend_of(config),
        id,
        split_node(nodeid)[1],
        device=config.getoption("--piecewise-device"),
        seed=config.getoption("--piecewise-seed"),
    )
