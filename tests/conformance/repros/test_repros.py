"""Scripts of failures: what is in them, and that each fails alone, no harness installed."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from piecewise_conformance.core.requirements import load
from piecewise_conformance.core.suite_scan import SUITE_FOLDER
from piecewise_conformance.core.verdict import Status
from piecewise_conformance.mutation import repros
from piecewise_conformance.mutation.catalogue import catalogue
from piecewise_conformance.reporting.report import (
    FAILED,
    HELD,
    NO_VERDICT,
    NOT_RUN,
    OTHERWISE,
    Result,
)
from piecewise_conformance.reporting.script_text import readable
from piecewise_conformance.repros.confirm import confirm, rerun
from piecewise_conformance.repros.failures import Scripts, with_scripts
from piecewise_conformance.repros.part import part_of
from piecewise_conformance.repros.sources import PACKAGES, needed, without_pytest
from piecewise_conformance.runner.run import _INI

# Nothing of the harness, and nothing that only the harness needs, from anywhere but a script.
ALONE = """
import sys
from importlib.machinery import PathFinder

class Alone(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        top = name.partition(".")[0]
        if top in ("pytest", "_pytest", "pluggy", "xdist", "hypothesis"):
            return None
        if top in PACKAGES and path is None:
            path = [each for each in sys.path if "piecewise-repro-" in each]
        return super().find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Alone
"""

# A mutant for each kind of test: of a split graph, of a whole backend through Dynamo, of a cache on
# disk, of emulated CUDA graphs, and one that starts other processes.
KINDS = (
    "split-matches-any-overload",
    "stitch-outputs-copied",
    "cache-hit-counts-as-new",
    "graph-key-is-the-size",
    "hash-of-process",
)

CASE = Result("RANGE-001", "holds_its_sizes[1-4]", Status.FAIL, message="made up")

MODULE = '''
"""A module."""
from __future__ import annotations
import os, sys
from pathlib import Path, PurePath
import its_effect
from piecewise_fixtures.ops import scaled

# how many
LIMIT = 3
OTHER = sys.path

def helper(a: Path) -> int:
    return LIMIT

def unused():
    return os

@torch.library.custom_op("x::op", mutates_args=())
def op(x: Path) -> Path:
    return x

@op.register_fake
def _(x):
    return x

# of the test
@mark(LIMIT)
def test_it(subject):
    """What it says."""
    return helper(1)

def test_other():
    return PurePath(OTHER), scaled
'''


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python processes find no harness but what a script has unpacked."""
    folder = tmp_path / "alone"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(f"PACKAGES = {PACKAGES!r}\n{ALONE}")
    monkeypatch.setenv("PYTHONPATH", str(folder))


def header(spec: str) -> dict[str, Any]:
    """The header of a report on ``spec``."""
    return {
        "subject": {"name": "x", "spec": spec, "version": ""},
        "versions": {"torch": "2.13.0", "python": "3.12"},
        "device": "cpu",
        "seed": 0,
    }


def test_a_part_is_what_the_test_uses() -> None:
    """In the order of the module, with the comments above, and only the imports that serve it."""
    assert part_of(MODULE, "test_it") == (
        "from pathlib import Path\nimport its_effect\n"
        "import piecewise_fixtures.ops  # for its effect\n\n\n# how many\nLIMIT = 3\n\n\n"
        "def helper(a: Path) -> int:\n    return LIMIT\n\n\n"
        # whatever calls them, by way of torch
        '@torch.library.custom_op("x::op", mutates_args=())\n'
        "def op(x: Path) -> Path:\n    return x\n\n\n"
        "@op.register_fake\ndef _(x):\n    return x\n\n\n"
        '# of the test\n@mark(LIMIT)\ndef test_it(subject):\n    """What it says."""\n'
        "    return helper(1)\n"
    )


# Tests that draw need hypothesis, in a script as well, which says so.
DRAWN = ("test_cache_over_time", "test_copy_drawn", "test_hash_drawn", "test_key_drawn")


def test_scripts_know_every_case_of_the_suite(tmp_path: Path) -> None:
    """Every module of the suite loads without pytest, and its cases have pytest's names."""
    texts = {
        each.stem: each.read_text()
        for each in sorted(SUITE_FOLDER.glob("test_*.py"))
        if each.stem not in DRAWN
    }
    files = needed(texts.values(), ["piecewise_conformance.repros.standalone"])
    for name, text in files.items():
        path = tmp_path / "piecewise-repro-x" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for name, text in texts.items():
        (tmp_path / f"alone_{name}.py").write_text(without_pytest(text))
    (tmp_path / "tell.py").write_text(
        f"PACKAGES = {PACKAGES!r}\n{ALONE}\n"
        "import importlib, json\n"
        f"sys.path[:0] = [{str(tmp_path / 'piecewise-repro-x')!r}, {str(tmp_path)!r}]\n"
        "from piecewise_conformance.repros.stand_in import cases\n"
        f"for name in {list(texts)!r}:\n"
        "    for key, value in vars(importlib.import_module('alone_' + name)).items():\n"
        "        for id, _, _ in cases(value) if key.startswith('test_') else ():\n"
        "            print(f'{name}.py::{key}' + (f'[{id}]' if id else ''))\n"
    )
    ours = subprocess.run(
        [sys.executable, str(tmp_path / "tell.py")], capture_output=True, text=True, check=False
    )
    assert ours.returncode == 0, ours.stderr
    command = [sys.executable, "-m", "pytest", str(SUITE_FOLDER), "-c", str(_INI), "-q"]
    command += ["--rootdir", str(SUITE_FOLDER), "--import-mode=importlib", "-p", "no:cacheprovider"]
    pytests = subprocess.run(
        [*command, "-o", "addopts=", "--collect-only"], capture_output=True, text=True, check=False
    )
    theirs = [
        line
        for line in pytests.stdout.splitlines()
        if "::" in line and line.partition(".py::")[0] not in DRAWN
    ]
    assert len(theirs) > 2000
    assert sorted(ours.stdout.splitlines()) == sorted(theirs)


def test_data_of_a_module_is_in_the_script() -> None:
    """A module that reads data from a folder next to it brings that folder's files."""
    files = needed([], ["piecewise_conformance.mutation.catalogue"])
    assert "piecewise_conformance/mutation/mutants/split.toml" in files


def test_each_kind_of_failure_shows_alone(alone: None, tmp_path: Path) -> None:
    """The script of a failure of each kind fails alone, in the same way."""
    chosen = [catalogue()[name] for name in KINDS]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", ":".join(filter(None, sys.path)))
        failures = repros.failures_of(chosen, 1)
    assert {name for name, _ in failures} == set(KINDS)
    written = repros.write(failures, tmp_path)
    came = confirm([(path, result) for _, path, result in written], jobs=1, seconds=1e6)
    assert [each.came for each in came] == [FAILED] * len(KINDS), came


def test_a_drawn_program_fails_alone(alone: None, tmp_path: Path) -> None:
    """Also a test that finds its check, and its program, by name."""
    result = Result("SPLIT-001", "drawn_same_result[corpus:write-then-op]", Status.FAIL)
    scripts = Scripts(tmp_path, header("mutant:split-sorted-by-data"), load())
    came = rerun(tmp_path / str(scripts.write(result)), result, limit=300.0)
    assert came.came == OTHERWISE, came.text  # the message of the result is none


def test_what_does_not_show_again_is_told(tmp_path: Path) -> None:
    """One case of each test is run; that it holds is said, and nothing of the others."""
    passing = Result("RANGE-001", "other", Status.PASS)
    second = dataclasses.replace(CASE, case="holds_its_sizes[7-7]", seconds=9.0)
    scripts = Scripts(tmp_path, header("reference"), load())
    old = tmp_path / "repros" / "old.py"
    old.parent.mkdir()
    old.touch()
    found = with_scripts(scripts, [passing, CASE, second], jobs=1, seconds=300.0, timeout=300.0)
    assert [each.repro_run for each in found] == [None, HELD, NOT_RUN]
    assert not old.exists()
    text = (tmp_path / str(found[1].repro)).read_text(encoding="utf-8")
    for each in (
        load()["RANGE-001"].sentence[:40],
        "made up",
        CASE.case,
        "def test_holds_its_sizes",
    ):
        assert each in readable(text)
    assert len(readable(text).splitlines()) < 100


def test_a_subject_that_is_gone(tmp_path: Path) -> None:
    """A script without its subject says so, and comes to no verdict."""
    scripts = Scripts(tmp_path, header("not/there.py"), load())
    path = tmp_path / str(scripts.write(CASE))
    came = rerun(path, CASE, limit=300.0)
    assert came.came == NO_VERDICT
    assert "not/there.py" in came.text
    assert "does not exist" in came.text
