"""Whether a night is worse than the nights before it: pure functions over logarithms and entries.

A figure is a regression, or a gain, only if

* its change against the baseline is larger than the threshold of its group,
* and larger than twice the noise, learnt from the nights of the baseline,
* in the same direction, in both runs of the night: the job runs again what looks bad.

The baseline is the median of earlier nights of the same series: same subject, torch channel,
device and machine. The change of the limits that were measured next to the figures is the
machine's, and is taken off first, in the baseline too. A second baseline lies weeks back, so
that a slow drift is found although each night is like the one before it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from .entry import Entry, Figure

RECENT = 28
"""How many nights the baseline has, at most."""
LEAST = 10
"""How many nights are needed to judge at all."""
FAR = 56
"""How many nights back the second baseline begins; it has as many nights as the first."""
THRESHOLD = 0.03
"""The least relative change that counts, where ``THRESHOLDS`` names none."""
THRESHOLDS: Mapping[str, float] = {"pool memory": 0.02}


@dataclass(frozen=True)
class Verdict:
    """The verdict on one figure. ``change`` is the relative change of the run that changed less."""

    state: str  # "regression", "gain", "same", or "unknown" with too short a history
    change: float = 0.0
    allowed: float = 0.0


@dataclass(frozen=True)
class Baseline:
    """Where a figure lies by its history, and how far from there noise takes it; logarithms."""

    centre: float
    noise: float

    def allowed(self, threshold: float) -> float:
        """The change that does not count."""
        return max(math.log1p(threshold), 2 * self.noise)


def baseline(values: Sequence[float]) -> Baseline:
    """The baseline of the nights ``values``, logarithms of which the machine's part is taken off.

    The noise is the whole range. With half the range, or without outliers, a page of hundreds of
    figures has a false alarm every few nights (see ``history simulate``).
    """
    return Baseline(median(values), max(values) - min(values))


def judge(history: Sequence[float], runs: Sequence[float], threshold: float) -> Verdict:
    """The verdict on a figure: ``history`` has one value a night, ``runs`` those of tonight.

    All are logarithms without the machine's part. A single run is judged as if the second agreed:
    so a job finds what it has to run again.
    """
    if len(history) < LEAST:
        return Verdict("unknown")
    far = history[-FAR - RECENT : -FAR] if len(history) >= FAR + LEAST else ()
    best = Verdict("same", allowed=math.inf)
    for nights in filter(None, (history[-RECENT:], far)):
        found = _against(baseline(nights), runs, threshold)
        if found.state != "same":
            return found
        best = min(best, found, key=lambda each: each.allowed)
    return best


def _against(base: Baseline, runs: Sequence[float], threshold: float) -> Verdict:
    changes = [run - base.centre for run in runs]
    least = min(changes, key=abs)
    if min(changes) < 0 < max(changes):  # the runs do not agree even on the direction
        least = 0.0
    allowed = base.allowed(threshold)
    state = "same" if abs(least) <= allowed else "regression" if least > 0 else "gain"
    return Verdict(state, math.expm1(least), math.expm1(allowed))


def night(runs: Iterable[float]) -> float:
    """The value that a night adds to the history: the mean of its runs."""
    values = list(runs)
    return sum(values) / len(values)


def machine_part(limits: Mapping[Any, float], usual: Mapping[Any, float]) -> float:
    """The logarithm of how much slower the machine is than usual: the median over its limits."""
    changes = [limits[key] - usual[key] for key in limits.keys() & usual.keys()]
    return median(changes) if changes else 0.0


def figures_of(entries: Iterable[Entry]) -> dict[tuple[str, str, int, str], Figure]:
    """The figures of a run, positive ones: only those have a logarithm."""
    return {f.key: f for each in entries for f in each.figures if f.value > 0}


def without_machine(nights: Sequence[Sequence[Entry]]) -> list[list[dict[object, float]]]:
    """By night and run: the logarithm of each figure that is not a limit, the machine taken off.

    What is usual for a limit is its median over all nights before the last.
    """
    runs = [[figures_of([run]) for run in night] for night in nights]
    known: dict[object, list[float]] = {}
    for earlier in runs[:-1] or runs:
        for run in earlier:
            for key, figure in run.items():
                if figure.is_limit:
                    known.setdefault(key, []).append(math.log(figure.value))
    usual = {key: median(values) for key, values in known.items()}

    def corrected(run: Mapping[tuple[str, str, int, str], Figure]) -> dict[object, float]:
        limits = {k: math.log(f.value) for k, f in run.items() if f.is_limit and f.unit == "s"}
        part = machine_part(limits, usual)
        return {
            key: math.log(figure.value) - (part if figure.unit == "s" else 0.0)
            for key, figure in run.items()
            if not figure.is_limit
        }

    return [[corrected(run) for run in night] for night in runs]


def judge_night(nights: Sequence[Sequence[Entry]]) -> dict[tuple[str, str, int, str], Verdict]:
    """The verdict on each figure of the last of ``nights``, each the runs of one series."""
    nights = nights[-FAR - RECENT - 1 :]
    *before, tonight = without_machine(nights)
    found = {}
    for key, figure in figures_of(nights[-1]).items():
        if figure.is_limit:
            continue
        measured = [[run[key] for run in each if key in run] for each in before]
        history = [night(each) for each in measured if each]
        runs = [run[key] for run in tonight if key in run]
        found[key] = judge(history, runs, THRESHOLDS.get(figure.group, THRESHOLD))
    return found


def correctness(tonight: Entry, twin: Entry | None) -> str:
    """``alarm``, ``ours`` or ``fine``: what a report says, given its twin on stable torch.

    A requirement that fails on both is the backend's or the machine's, not torch's change.
    """
    if tonight.exit_status == 0:
        return "fine"
    if twin is None or twin.exit_status == 0:
        return "alarm"
    if tonight.exit_status == 1:
        return "alarm" if set(tonight.failing) - set(twin.failing) else "ours"
    return "ours" if twin.exit_status == tonight.exit_status else "alarm"
