"""What a run measured, read back from the JSON of pytest-benchmark."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Figure:
    """One benchmark of one run; times in seconds."""

    name: str
    group: str
    by: str
    size: int
    unit: str
    order: float | None
    median: float
    least: float
    iqr: float
    grown_mb: float | None = None  # of memory at the peak, where that is what was measured
    beside: str = ""  # what else was measured of it, in words

    @property
    def is_limit(self) -> bool:
        """Whether this is a limit: nobody's work, but what the machine takes."""
        return self.by.startswith("limit:")


def read(path: Path) -> list[Figure]:
    """The figures in the file ``path``. Raises ValueError for a file that holds none."""
    content = json.loads(path.read_text(encoding="utf-8"))
    figures = []
    for each in content.get("benchmarks", ()):
        info, stats = each["extra_info"], each["stats"]
        figures.append(
            Figure(
                each["name"],
                info["group"],
                info["by"],
                info["size"],
                info["unit"],
                info["order"],
                stats["median"],
                stats["min"],
                stats["iqr"],
                info.get("grown_mb"),
                info.get("beside", ""),
            )
        )
    if not figures:
        raise ValueError(f"{path} holds no benchmarks")
    return figures


def growth(points: Iterable[tuple[float, float]]) -> float | None:
    """The exponent k of ``time = c * size ** k``, by least squares of logarithms.

    None for fewer than three sizes: two always fit.
    """
    logs = [(math.log(size), math.log(time)) for size, time in points]
    if len({x for x, _ in logs}) < 3:
        return None
    middle_x = sum(x for x, _ in logs) / len(logs)
    middle_y = sum(y for _, y in logs) / len(logs)
    above = sum((x - middle_x) * (y - middle_y) for x, y in logs)
    return above / sum((x - middle_x) ** 2 for x, _ in logs)


def grouped(figures: Sequence[Figure]) -> dict[str, dict[str, list[Figure]]]:
    """By group, and in it by who was measured; each list by size."""
    found: dict[str, dict[str, list[Figure]]] = {}
    for each in figures:
        found.setdefault(each.group, {}).setdefault(each.by, []).append(each)
    for of_group in found.values():
        for series in of_group.values():
            series.sort(key=lambda each: each.size)
    return found
