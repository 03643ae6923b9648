"""Scripts of failures: what is in them, and that each fails alone."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from piecewise_conformance.core.requirements import load
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
from piecewise_conformance.repros.confirm import confirm, rerun
from piecewise_conformance.repros.failures import Scripts, with_scripts
from piecewise_conformance.repros.part import part_of
from piecewise_conformance.repros.script import assemble, call, loading_of

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

@torch.library.custom_op("x::another", mutates_args=())
def another(x: Path) -> Path:
    return x

@another.register_fake
def _(x):
    return x

# of the test
@mark(LIMIT)
def test_it(subject):
    """What it says."""
    return helper(torch.ops.x.op)

def test_other():
    return PurePath(OTHER), scaled
'''


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
        "import piecewise_fixtures.ops  # for its side effect\n\n\n# how many\nLIMIT = 3\n\n\n"
        "def helper(a: Path) -> int:\n    return LIMIT\n\n\n"
        # the test calls it by way of torch
        '@torch.library.custom_op("x::op", mutates_args=())\n'
        "def op(x: Path) -> Path:\n    return x\n\n\n"
        "@op.register_fake\ndef _(x):\n    return x\n\n\n"
        '# of the test\n@mark(LIMIT)\ndef test_it(subject):\n    """What it says."""\n'
        "    return helper(torch.ops.x.op)\n"
    )


def test_most_scripts_are_short(tmp_path: Path) -> None:
    """Of the failures that mutants have, four in five have a script of at most 100 lines.

    Nothing of the harness is in a script but the test itself.
    """
    scripts = Scripts(tmp_path, header("reference"), load())
    lengths: dict[str, list[int]] = {}
    for (id, function), test in scripts.tests.items():
        failed = dataclasses.replace(
            Result(id, function, Status.FAIL, "m"),
            expected="e\n" * 4,
            got="g\n" * 4,
            program="p\n" * 30,
        )
        text = scripts.text(failed, test)
        lengths.setdefault(id, []).append(text.count("\n"))
    shares = [
        sum(each <= 100 for each in lengths[id]) / len(lengths[id])
        for mutant in catalogue().values()
        for id in mutant.fails
        if id in lengths
    ]
    assert len(shares) > 1000
    assert sum(shares) / len(shares) >= 0.8
    assert max(max(each) for each in lengths.values()) < 300


def test_each_kind_of_failure_shows_alone(tmp_path: Path) -> None:
    """The script of a failure of each kind fails alone, in the same way."""
    chosen = [catalogue()[name] for name in KINDS]
    failures = repros.failures_of(chosen, 1)
    assert {name for name, _ in failures} == set(KINDS)
    written = repros.write(failures, tmp_path)
    came = confirm([(path, result) for _, path, result in written], jobs=1, seconds=1e6)
    assert [each.came for each in came] == [FAILED] * len(KINDS), came


def test_a_drawn_program_fails_alone(tmp_path: Path) -> None:
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
        assert each in text
    assert len(text.splitlines()) < 100


def test_a_subject_that_is_gone(tmp_path: Path) -> None:
    """A script without its subject says so, and comes to no verdict."""
    scripts = Scripts(tmp_path, header("not/there.py"), load())
    path = tmp_path / str(scripts.write(CASE))
    came = rerun(path, CASE, limit=300.0)
    assert came.came == NO_VERDICT
    assert "not/there.py" in came.text
    assert "does not exist" in came.text


def test_a_script_imports_from_where_the_run_was_started(tmp_path: Path) -> None:
    """A module that is not installed is found by a script that is started anywhere."""
    found = loading_of("my_package.backend:attribute", tmp_path)
    assert (found.spec, found.needs) == ("my_package.backend:attribute", "my_package.backend")
    text = assemble("head", "body = 1", call(found, "A-1", "a[b]", seed=3, memory=0), found)
    assert f"sys.path.append({str(tmp_path)!r})" in text
    assert "'a[b]'" in text
    assert "seed=3" in text
    assert "memory" not in text
    compile(text, "script", "exec")


def test_a_script_finds_a_file_from_anywhere(tmp_path: Path) -> None:
    """By its whole path."""
    found = loading_of("mine.py:subject", tmp_path)
    assert found.spec == f"{tmp_path / 'mine.py'}:subject"
    assert loading_of("mutant:x").needs == loading_of("reference").needs == ""
    assert loading_of("vllm").needs == "vllm"
