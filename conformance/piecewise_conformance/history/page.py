"""Write the trend page: verdicts night by night, and each figure with its noise, in one file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from statistics import fmean, median

from ..reporting.templating import render
from .alarm import Verdict, correctness, figures_of, judge_night
from .charts import Chart, half_width, paths, scale, shown
from .entry import Entry, Figure
from .judging import Finding, findings, sorted_series

_TEMPLATE = Path(__file__).parent / "templates" / "trend.html.j2"
MOST_DAYS = 366
_WORDS = {"fine": "conformant", "alarm": "failing", "ours": "fails on stable torch too"}

Key = tuple[str, str, int, str]


@dataclass(frozen=True)
class Square:
    """A night in a strip of verdicts: its place, its state, what to show, where it leads."""

    x: int
    state: str
    title: str
    link: str


@dataclass(frozen=True)
class Strip:
    """The verdicts of one series."""

    name: str
    state: str
    latest: str
    link: str
    squares: list[Square]


@dataclass(frozen=True)
class Table:
    """The charts of one group of figures: a row for each way, a column for each size."""

    group: str
    sizes: list[int]
    rows: list[tuple[str, list[Chart | None]]]


@dataclass(frozen=True)
class Section:
    """The figures of one series. ``links`` leads from a night to its run, by the night's place."""

    name: str
    changed: int
    links: dict[int, str]
    tables: list[Table]


def write_page(path: Path, entries: Sequence[Entry]) -> None:
    """Write the page about ``entries`` to ``path``."""
    text = page(entries)
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_text(text, encoding="utf-8", errors="backslashreplace")
    fresh.replace(path)


def page(entries: Sequence[Entry]) -> str:
    """Return the page as text; it shows at most ``MOST_DAYS`` days, up to the last entry's."""
    last = max((each.day for each in entries), default=date.min)
    first = max(
        min((each.day for each in entries), default=last),
        last - timedelta(days=MOST_DAYS - 1) if last > date.min else last,
    )
    entries = [each for each in entries if each.day >= first]
    return render(
        _TEMPLATE,
        first=first,
        last=last,
        days=(last - first).days + 1,
        months=_months(first, last),
        findings=_sorted(findings(entries)),
        strips=_strips(entries, first),
        sections=_sections(entries, first),
    )


def _sorted(found: Iterable[Finding]) -> list[Finding]:
    order = ("alarm", "regression", "gain", "ours")
    return sorted(found, key=lambda each: order.index(each.state))


def _months(first: date, last: date) -> list[tuple[int, str]]:
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    return [((day - first).days, f"{day:%b}") for day in days if day.day == 1]


def _link(text: str) -> str:
    """``text`` if it leads to a page: a history may hold what a stranger wrote."""
    return text if text.startswith(("https://", "http://")) or ":" not in text else ""


def _strips(entries: Sequence[Entry], first: date) -> list[Strip]:
    twins = {}
    for each in entries:
        if each.kind == "report" and each.series.channel != "nightly":
            twins[each.day, each.subject, each.device, each.level] = each
    strips = []
    for series, nights in sorted_series(entries, "report"):
        squares = []
        for runs in nights:
            last = runs[-1]
            twin = twins.get((last.day, last.subject, last.device, last.level))
            state = correctness(last, twin if series.channel == "nightly" else None)
            title = f"{last.day}: {last.verdict}, torch {last.torch} {last.torch_git[:9]}"
            squares.append(Square((last.day - first).days, state, title, _link(last.link)))
        last_square = squares[-1]
        strips.append(
            Strip(
                str(series),
                last_square.state,
                _WORDS[last_square.state],
                last_square.link,
                squares,
            )
        )
    return strips


def _sections(entries: Sequence[Entry], first: date) -> list[Section]:
    sections = []
    for series, nights in sorted_series(entries, "benchmarks"):
        verdicts = judge_night(nights)
        tables = _tables(nights, verdicts, first)
        links = {(runs[0].day - first).days: _link(runs[-1].link) for runs in nights}
        changed = sum(each.state in ("regression", "gain") for each in verdicts.values())
        sections.append(
            Section(str(series), changed, {k: v for k, v in links.items() if v}, tables)
        )
    return sections


def _tables(
    nights: Sequence[Sequence[Entry]], verdicts: Mapping[Key, Verdict], first: date
) -> list[Table]:
    points: dict[Key, list[tuple[date, float, float]]] = {}
    for runs in nights:
        found = [figures_of([run]) for run in runs]
        for key in dict.fromkeys(key for each in found for key in each):
            mine = [each[key] for each in found if key in each]
            points.setdefault(key, []).append((runs[0].day, *_together(mine)))
    groups: dict[str, dict[str, dict[int, Chart]]] = {}
    for key, series in points.items():
        group, by, size, _ = key
        chart = _chart(key, series, verdicts.get(key), first)
        groups.setdefault(group, {}).setdefault(by, {})[size] = chart
    tables = []
    for group, ways in groups.items():
        sizes = sorted({size for charts in ways.values() for size in charts})
        rows = [(by, [charts.get(size) for size in sizes]) for by, charts in ways.items()]
        tables.append(Table(group, sizes, rows))
    return tables


def _together(figures: Sequence[Figure]) -> tuple[float, float]:
    return fmean(f.value for f in figures), median(half_width(f.spread, f.value) for f in figures)


def _chart(
    key: Key, points: Sequence[tuple[date, float, float]], verdict: Verdict | None, first: date
) -> Chart:
    unit = key[3]
    low, high = scale([value for _, value, _ in points])
    line, band = paths(points, first, low, high)
    state = verdict.state if verdict else "limit"
    change = f"{verdict.change:+.1%}" if verdict and verdict.state in ("regression", "gain") else ""
    return Chart(
        line=line,
        band=band if any(spread for _, _, spread in points) else "",
        low=low,
        high=high,
        unit=unit,
        label=f"{key[1]}, {key[2]}: {shown(points[-1][1], unit)} on {points[-1][0]}",
        latest=shown(points[-1][1], unit),
        state=state,
        change=change,
    )
