"""What the reference must reach (design.md), beside what a run measured.

Each aim is a figure made of two benchmarks of one group, at the size that the aim names or else the
largest that both have: a ratio, or the time that is added for each unit of the size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .results import Figure, grouped

Series = dict[int, Figure]


@dataclass(frozen=True)
class Aim:
    """``figure`` of the medians of ``by`` and of the reference must keep ``limit``."""

    what: str
    group: str
    by: str
    figure: Callable[[float, float, int], float]  # of theirs, ours, and the size
    limit: float
    unit: str
    at_least: bool = True
    size: int | None = None

    def told(self, figures: list[Figure]) -> str:
        """A line: what was measured, what is wanted, and whether it is reached."""
        sign = "≥" if self.at_least else "≤"
        aim = f"{self.what}: aim {sign} {self.limit:g} {self.unit}"
        groups = grouped(figures).get(self.group, {})
        ours, theirs = (_by_size(groups.get(by, [])) for by in ("reference", self.by))
        sizes = [each for each in ours.keys() & theirs.keys() if self.size in (None, each)]
        if not sizes:
            return f"  {aim}, not measured in this run (no {self.by}, or not at this size)"
        size = max(sizes)
        own, other = ours[size], theirs[size]
        value = self.figure(other.median, own.median, size)
        reached = value >= self.limit if self.at_least else value <= self.limit
        verdict = "reached" if reached else "NOT REACHED"
        return f"  {aim}, measured {value:.3g} at {size} ({own.unit}): {verdict}"


def _by_size(series: list[Figure]) -> Series:
    return {each.size: each for each in series}


def times(theirs: float, ours: float, size: int) -> float:
    """How many times faster ours is."""
    return theirs / ours


def part(theirs: float, ours: float, size: int) -> float:
    """How many times as long ours takes."""
    return ours / theirs


def added(theirs: float, ours: float, size: int) -> float:
    """What ours takes more for each unit, in microseconds."""
    return (ours - theirs) / size * 1e6


FOREACH, UNSPLIT = "limit: _foreach_copy_", "limit: the graph unsplit"
AIMS = (
    Aim("split, Llama-like", "split llama-like", "vllm", times, 2.5, "x vLLM"),
    Aim("split, wide", "split wide", "vllm", times, 2.5, "x vLLM"),
    Aim("split, pieces of one node", "split many-tiny-pieces", "vllm", times, 2.5, "x vLLM"),
    Aim("cache save", "cache save", "vllm", times, 20, "x vLLM"),
    Aim("cache load", "cache load", "vllm", times, 20, "x vLLM"),
    *(
        Aim("stitched call", "stitched call", UNSPLIT, added, 1, "µs a piece", False, size)
        for size in (8, 32, 128, 512)
    ),
    Aim("copy, 128 KB", "copy_and_call 128KB", FOREACH, part, 1.3, "x foreach", False, 3),
    Aim("copy, 16 MB", "copy_and_call 16MB", FOREACH, part, 1.3, "x foreach", False, 3),
    Aim("warm start, 32 layers", "warm start with Inductor", "vllm", times, 1, "x vLLM", size=32),
)


def lines(figures: list[Figure]) -> Iterator[str]:
    """The aims as text, and how a cold start grows with layers that are identical."""
    yield "\naims"
    for aim in AIMS:
        yield aim.told(figures)
    cold = _by_size(grouped(figures).get("cold start of identical layers", {}).get("reference", []))
    if len(cold) > 1:
        one, many = min(cold), max(cold)
        ratio = cold[many].median / cold[one].median
        yield (
            f"  cold start of {many} identical layers: close to that of {one}, measured "
            f"{ratio:.2f} times it"
        )
