"""The kill matrix itself: a real run of a part of the suite on mutants made for this test."""

from __future__ import annotations

from pathlib import Path

import pytest
from piecewise_conformance.mutation.__main__ import run_matrix
from piecewise_conformance.mutation.catalogue import catalogue
from piecewise_conformance.mutation.verdicts import judge
from piecewise_conformance.runner.run import Settings

TABLE = """
[[mutant]]
name = "{name}"
about = "A."
file = "ranges.py"
in = "Range.is_single_size"
statement = "return"
new = '''
{new}'''
fails = ["RANGE-003"]
"""

# What it changes lasts as long as the process, and no test puts it back.
POISON = """\
import torch
import piecewise_conformance.core.boundary as boundary
torch.set_default_dtype(torch.float64)
boundary.expect_refusal = None
type(self).__eq__ = lambda self, other: True
type(self).__contains__ = lambda self, size: True
"""
RIGHT = "return self.start == self.end"

FAULTS = {
    "before": "pass",
    "poison": POISON + RIGHT,
    "after": "pass",
    "ends-itself": f"if self.start == 64:\n    __import__('os')._exit(0)\n{RIGHT}",
    "never-ends": f"while self.start == 64:\n    pass\n{RIGHT}",
    "interrupts": f"if self.start == 64:\n    raise KeyboardInterrupt\n{RIGHT}",
    "last": "pass",
}


def test_mutants_see_nothing_of_one_another(tmp_path: Path) -> None:
    """A mutant that poisons its process fails tests that have nothing to do with its fault, and
    changes the verdict of no other mutant. One that ends its process, interrupts it, or never
    ends, fails the test in which it does.
    """
    text = "".join(TABLE.format(name=name, new=new) for name, new in FAULTS.items())
    (tmp_path / "mutants.toml").write_text(text)
    chosen = catalogue(tmp_path)
    settings = Settings(jobs=1, keyword="RANGE-001 or RANGE-002 or RANGE-003", timeout=10.0)
    found = run_matrix(chosen, settings, thorough=True, part=True, folder=tmp_path)
    assert {run["status"] for run in found["baseline"]} == {"pass"}
    verdicts = {each.mutant.name: each for each in judge(chosen, found["runs"])}
    assert list(verdicts) == list(FAULTS)
    poisoned = verdicts.pop("poison")
    assert set(poisoned.failed) - {"RANGE-003"} or poisoned.errors
    failed = {name: set(each.failed) for name, each in verdicts.items()}
    assert failed == {name: {"RANGE-003"} for name in verdicts}
    assert all(each.right for each in verdicts.values())
    status = {run["subject"]: run["status"] for run in found["runs"] if run["status"] != "pass"}
    assert status["ends-itself"] == status["interrupts"] == "crash"
    assert status["never-ends"] == "timeout"


def test_a_suite_that_cannot_be_collected(tmp_path: Path) -> None:
    """It ends the matrix, rather than leaving out the tests of the module that is broken."""
    (tmp_path / "test_broken.py").write_text("raise RuntimeError\n")
    with pytest.raises(SystemExit) as ended:
        run_matrix({}, Settings(jobs=1, suite=tmp_path))
    assert ended.value.code == 3
