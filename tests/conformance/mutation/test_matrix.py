"""The kill matrix itself: a real run of a part of the suite on mutants made for this test."""

from __future__ import annotations

from pathlib import Path

from piecewise_conformance.mutation.__main__ import run_matrix
from piecewise_conformance.mutation.catalogue import catalogue
from piecewise_conformance.mutation.verdicts import judge
from piecewise_conformance.runner.run import Settings

TABLE = """
[[mutant]]
name = "{name}"
about = "A."
file = "ranges.py"
in = "Range.__contains__"
statement = "return"
new = '''
{new}'''
fails = ["RANGE-001"]
"""

# What it changes lasts as long as the process, and no test puts it back.
POISON = """\
import dataclasses, torch
torch.set_default_dtype(torch.float64)
dataclasses.FrozenInstanceError = dataclasses.replace = None
type(self).__eq__ = lambda self, other: True
type(self).__hash__ = lambda self: 1
globals()["dataclass"] = None
import piecewise_conformance.core.boundary as boundary
boundary.expect_refusal = None
return self.start <= size <= self.end"""

FAULTS = {
    "before": "return False",
    "poison": POISON,
    "after": "return False",
    "ends-itself": "__import__('os')._exit(0)",
    "never-ends": "while True:\n    pass",
    "last": "return False",
}


def test_mutants_see_nothing_of_one_another(tmp_path: Path) -> None:
    """A mutant that poisons its process fails tests that have nothing to do with its fault, and
    changes the verdict of no other mutant. One that ends its process, or never ends, fails the
    test in which it does.
    """
    text = "".join(TABLE.format(name=name, new=new) for name, new in FAULTS.items())
    (tmp_path / "mutants.toml").write_text(text)
    chosen = catalogue(tmp_path)
    settings = Settings(jobs=1, keyword="RANGE-001 or RANGE-002 or RANGE-004", timeout=10.0)
    found = run_matrix(chosen, settings, thorough=True, part=True, folder=tmp_path)
    assert {run["status"] for run in found["baseline"]} == {"pass"}
    verdicts = {each.mutant.name: each for each in judge(chosen, found["runs"])}
    assert list(verdicts) == list(FAULTS)
    poisoned = verdicts.pop("poison")
    assert set(poisoned.failed) - {"RANGE-001"} or poisoned.errors
    assert all(set(each.failed) == {"RANGE-001"} for each in verdicts.values())
    assert all(each.right for each in verdicts.values())
    status = {run["subject"]: run["status"] for run in found["runs"] if run["status"] != "pass"}
    assert status["ends-itself"] == "crash"
    assert status["never-ends"] == "timeout"
