"""Failures by bucket and by signature."""

from __future__ import annotations

from typing import Any

import pytest
from piecewise_conformance.core.tracebacks import FOLDED
from piecewise_conformance.core.verdict import Status
from piecewise_conformance.releases.failures import (
    BOTH,
    INCONCLUSIVE,
    NEW,
    ONLY_OLD,
    Signature,
    compare,
    signature_of,
)
from piecewise_conformance.reporting.report import Result

GOT = f"""  File "/x/my_backend.py", line 3, in call
{FOLDED}
  File "/x/my_backend.py", line 3, in call
  File "/env/lib/python3.11/site-packages/torch/_inductor/graph.py", line 90, in run
  File "/root/lib/python3.11/contextlib.py", line 90, in inner
"""


def result(status: Status, case: str = "c", **more: Any) -> Result:
    """A result of SPLIT-001."""
    return Result("SPLIT-001", case, status, **more)


@pytest.mark.parametrize(
    ("new", "old", "bucket"),
    [
        (Status.FAIL, Status.PASS, NEW),
        (Status.CRASH, Status.PASS, NEW),
        (Status.TIMEOUT, Status.PASS, NEW),
        (Status.FAIL, Status.FAIL, BOTH),
        (Status.FAIL, Status.XFAIL, BOTH),
        (Status.TIMEOUT, Status.TIMEOUT, BOTH),
        (Status.PASS, Status.FAIL, ONLY_OLD),
        (Status.XPASS, Status.FAIL, ONLY_OLD),
        (Status.FAIL, Status.TIMEOUT, INCONCLUSIVE),
        (Status.PASS, Status.TIMEOUT, INCONCLUSIVE),
        (Status.FAIL, Status.ERROR, INCONCLUSIVE),
        (Status.FAIL, Status.NOT_RUN, INCONCLUSIVE),
        (Status.ERROR, Status.PASS, INCONCLUSIVE),
        (Status.FAIL, None, INCONCLUSIVE),
        (Status.PASS, Status.PASS, None),
        (Status.UNSUPPORTED, Status.PASS, None),
        (Status.XFAIL, Status.XFAIL, None),
    ],
)
def test_buckets(new: Status, old: Status | None, bucket: str | None) -> None:
    """A row is new only if the twin has judged the same test and passed it."""
    rows = compare([result(new)], [result(old)] if old else [])
    assert [row.bucket for row in rows] == ([bucket] if bucket else [])


def test_without_a_twin_nothing_is_new() -> None:
    """A twin that did not run to its end makes all failures inconclusive."""
    (row,) = compare([result(Status.FAIL), result(Status.PASS, "d")], None)
    assert row.bucket == INCONCLUSIVE


def test_a_signature_is_requirement_exception_and_innermost_frame() -> None:
    """Frames of the harness and of Python do not count, nor do folders around the package."""
    raised = result(Status.FAIL, message="the subject raised torch.X.KeyError: 3", got=GOT)
    assert signature_of(raised) == Signature(
        "SPLIT-001", "KeyError", "torch/_inductor/graph.py run"
    )
    wrong = result(Status.FAIL, message="output 0 has other values", got="float32[3]")
    assert signature_of(wrong) == Signature("SPLIT-001", "fail", "")


def test_one_row_for_a_signature_with_the_smallest_program() -> None:
    """Tests of one signature are one row; it shows the shortest program."""
    results = [
        result(Status.FAIL, case, message="the subject raised KeyError: 3", program=program)
        for case, program in (("a", "long program"), ("b", "short"), ("c", ""))
    ]
    passed = [result(Status.PASS, case) for case in "abc"]
    (row,) = compare(results, passed)
    assert len(row.results) == 3
    assert row.smallest.case == "b"
