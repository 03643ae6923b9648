"""Compare two measurements, both ways: a gain that nobody meant is a change like a regression.

Each side is one or more runs. What the runs of a side differ by, and the spread within a run, is
the noise; a change counts when it is larger than twice that and than the threshold. The limits
(a bare copy, torch making a node) change with the machine only: by how much is taken off first.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from statistics import median

from piecewise_conformance.reporting.templating import render

from .results import Figure, read
from .table import duration

_TEMPLATE = Path(__file__).parent / "templates" / "comparison.html.j2"

THRESHOLDS = {"copy_and_call *": 0.25, "cold and warm": 0.25, "*": 0.15}
"""The least change that counts, by group; the first pattern that matches."""


@dataclass(frozen=True)
class Change:
    """One benchmark in both measurements; ``ratio`` is new over old, without the machine's part."""

    name: str
    old: float
    new: float
    ratio: float
    allowed: float

    @property
    def verdict(self) -> str:
        """``regression``, ``gain`` or ``same``."""
        if self.ratio > 1 + self.allowed:
            return "regression"
        return "gain" if self.ratio < 1 / (1 + self.allowed) else "same"


def threshold(group: str) -> float:
    """The threshold of ``group``."""
    return next(value for pattern, value in THRESHOLDS.items() if fnmatch(group, pattern))


def noise(runs: Sequence[Figure]) -> float:
    """Half the distance between runs, or the mean spread within one, whichever is more; of 1."""
    medians = [each.median for each in runs]
    centre = median(medians)
    between = (max(medians) - min(medians)) / 2 / centre
    within = median(each.iqr / each.median for each in runs) / 2
    return max(between, within)


def machine_factor(old: dict[str, list[Figure]], new: dict[str, list[Figure]]) -> float:
    """By how much the machine is slower: the geometric mean over all limits; 1 without any."""
    logs = [
        math.log(_centre(new[name]) / _centre(old[name]))
        for name in old.keys() & new.keys()
        if old[name][0].is_limit
    ]
    return math.exp(sum(logs) / len(logs)) if logs else 1.0


def _centre(runs: Sequence[Figure]) -> float:
    return median(each.median for each in runs)


def _by_name(runs: Iterable[list[Figure]]) -> dict[str, list[Figure]]:
    found: dict[str, list[Figure]] = {}
    for run in runs:
        for each in run:
            found.setdefault(each.name, []).append(each)
    return found


def changes(old_runs: Sequence[list[Figure]], new_runs: Sequence[list[Figure]]) -> list[Change]:
    """Every benchmark that both sides have and that is no limit."""
    old, new = _by_name(old_runs), _by_name(new_runs)
    factor = machine_factor(old, new)
    found = []
    for name in old:
        if name not in new or old[name][0].is_limit:
            continue
        before, after = _centre(old[name]), _centre(new[name])
        floor = 2 * (noise(old[name]) + noise(new[name]))
        allowed = max(threshold(old[name][0].group), floor)
        found.append(Change(name, before, after, after / before / factor, allowed))
    return found


def gone(old_runs: Sequence[list[Figure]], new_runs: Sequence[list[Figure]]) -> list[str]:
    """The benchmarks that the new side lacks: what is not measured cannot be compared."""
    return sorted(_by_name(old_runs).keys() - _by_name(new_runs).keys())


@dataclass(frozen=True)
class Bar:
    """One benchmark in the chart; lengths are powers of two of the ratio."""

    name: str
    figures: str
    verdict: str
    length: float
    allowed: float


def _bar(change: Change) -> Bar:
    return Bar(
        name=change.name,
        figures=f"{change.ratio:.2f} ({duration(change.old)} to {duration(change.new)})",
        verdict=change.verdict,
        length=max(-1.0, min(1.0, math.log2(change.ratio))),
        allowed=math.log2(1 + change.allowed),
    )


def chart(found: Sequence[Change]) -> str:
    """Return an HTML page with one bar per benchmark, to the right where the new side is slower."""
    return render(_TEMPLATE, bars=[_bar(each) for each in found])


def compare_files(
    old: Sequence[str], new: Sequence[str], page: Path, expected: Sequence[str] = ()
) -> int:
    """Print the comparison and write the chart; 1 if something changed, or is gone, unexpectedly.

    ``expected`` are patterns of names whose change, or end, is meant.
    """
    old_runs = [read(Path(each)) for each in old]
    new_runs = [read(Path(each)) for each in new]

    def meant(name: str) -> bool:
        return any(fnmatch(name, pattern) for pattern in expected)

    factor = machine_factor(_by_name(old_runs), _by_name(new_runs))
    print(f"the machine: {factor:.2f} times the old one's time, by the limits; taken off below")
    found = changes(old_runs, new_runs)
    failed = False
    for each in sorted(found, key=lambda change: -change.ratio):
        told = each.verdict
        if told != "same":
            told, failed = (f"{told}, meant", failed) if meant(each.name) else (told.upper(), True)
        print(
            f"{each.ratio:6.2f} x  (± {each.allowed:.0%} allowed)  {duration(each.old):>8} to "
            f"{duration(each.new):>8}  {each.name}  {told}"
        )
    for name in gone(old_runs, new_runs):
        print(f"        gone  {name}{'  meant' if meant(name) else '  GONE'}")
        failed = failed or not meant(name)
    page.write_text(chart(found), encoding="utf-8")
    print(f"chart: {page}")
    return int(failed)
