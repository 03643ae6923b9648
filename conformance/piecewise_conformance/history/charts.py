"""The trend of one figure as the coordinates of an SVG path, and its noise band."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

HEIGHT = 48  # units of the drawing; a night is one unit wide
_UNITS = {"s": ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns")), "B": ((2**20, "MiB"),)}


@dataclass(frozen=True)
class Chart:
    """One figure over the nights. ``low`` and ``high`` are the values at the drawing's edges."""

    line: str
    band: str
    low: float
    high: float
    unit: str
    label: str
    latest: str
    state: str
    change: str


def shown(value: float, unit: str) -> str:
    """``value`` as people write it."""
    units = _UNITS[unit]
    factor, name = next((each for each in units if value >= each[0]), units[-1])
    return f"{value / factor:.3g} {name}"


def scale(values: Sequence[float]) -> tuple[float, float]:
    """The least and the largest value to draw: never less than a tenth apart, so that noise of a
    percent looks like one.
    """
    low, high = min(values), max(values)
    middle = (low + high) / 2
    half = max((high - low) / 2 * 1.1, middle * 0.05, 1e-12)
    return middle - half, middle + half


def paths(
    points: Sequence[tuple[date, float, float]], first: date, low: float, high: float
) -> tuple[str, str]:
    """The path of the values, and the outline of value and spread. A missing night is a gap."""

    def y(value: float) -> int:
        part = (min(max(value, low), high) - low) / (high - low)
        return round(HEIGHT * (1 - part))

    runs: list[list[tuple[int, float, float]]] = []
    for day, value, spread in points:
        x = (day - first).days
        if not runs or x - runs[-1][-1][0] > 3:
            runs.append([])
        runs[-1].append((x, value, spread))
    line = "".join("M" + "L".join(f"{x} {y(value)}" for x, value, _ in run) for run in runs)
    band = ""
    for run in runs:
        above = [f"{x} {y(value + spread)}" for x, value, spread in run]
        below = [f"{x} {y(value - spread)}" for x, value, spread in reversed(run)]
        band += f"M{'L'.join(above + below)}Z"
    return line, band


def half_width(spread: float, value: float) -> float:
    """Half the band: the quartiles of a run lie half of ``spread`` from its median."""
    return spread / 2 if math.isfinite(spread) and value > 0 else 0.0
