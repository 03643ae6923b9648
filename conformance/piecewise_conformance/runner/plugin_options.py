"""The options by which ``run`` tells pytest what the user asked for."""

from __future__ import annotations

import pytest

from ..core.requirements import FULL, PROFILES


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
