"""The tables of one run: time a unit, ratio to the reference's, growth beside the expected one."""

from __future__ import annotations

from pathlib import Path

from . import aims
from .results import Figure, grouped, growth, read

SLACK = 0.15
"""How far above its order a fit may lie: caches of the machine overflow between the sizes."""


def duration(seconds: float) -> str:
    """``seconds`` with a unit in which it has one to three digits before the point."""
    for factor, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if seconds >= factor:
            return f"{seconds / factor:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def plural(unit: str) -> str:
    """As one writes it after a number."""
    return f"{unit[:-1]}ies" if unit.endswith("y") else f"{unit}s"


def fit(series: list[Figure]) -> str:
    """The fitted order, the expected one, and whether they agree."""
    order = series[0].order
    slope = growth((each.size, each.median) for each in series)
    if order is None or slope is None:
        return ""
    verdict = "as expected" if slope <= order + SLACK else "GROWS FASTER"
    return f"grows as size^{slope:.2f}, expected size^{order:g}: {verdict}"


def lines(figures: list[Figure]) -> list[str]:
    """The tables as text."""
    text = []
    for group, by_whom in grouped(figures).items():
        text.append(f"\n{group}")
        own = {each.size: each for each in by_whom.get("reference", ())}
        for by, series in by_whom.items():
            for each in series:
                if each.grown_mb is not None:
                    text.append(
                        f"  {by:38} {each.size:>7} MB, {each.grown_mb:.1f} more at the peak"
                    )
                    continue
                ratio = ""
                if by != "reference" and each.size in own:
                    ratio = f"  reference = {own[each.size].median / each.median:.2f} x this"
                text.append(
                    f"  {by:38} {each.size:>7} {plural(each.unit)}  {duration(each.median):>8}"
                    f" ± {duration(each.iqr):>8}  {duration(each.median / each.size):>8} a"
                    f" {each.unit}{ratio}{each.beside and f'  ({each.beside})'}"
                )
            if told := fit(series):
                text.append(f"  {by:38} {told}")
    return text


def print_tables(path: Path) -> None:
    """Print what the run in ``path`` measured, and what of the aims it reached.

    Raises ValueError for a file without benchmarks.
    """
    figures = read(path)
    print("\n".join([*lines(figures), *aims.lines(figures)]))
