"""The last night of each series: what is new in it, and what has to be run again first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from .alarm import correctness, judge_night
from .entry import Entry, Series

REMEMBERED = 7
"""A change that was found in one of so many nights before is not reported again."""


@dataclass(frozen=True)
class Finding:
    """One line for people; ``state`` is ``regression``, ``gain``, ``alarm`` or ``ours``."""

    series: Series
    state: str
    what: str
    confirmed: bool = True  # by a second run; a verdict on correctness needs none


def by_series(entries: Iterable[Entry], kind: str) -> dict[Series, list[list[Entry]]]:
    """The nights of each series, oldest first; the runs of one night are those of one date."""
    found: dict[Series, list[Entry]] = {}
    for each in entries:
        if each.kind == kind:
            found.setdefault(each.series, []).append(each)
    return {
        series: [list(runs) for _, runs in groupby(mine, key=lambda each: each.day)]
        for series, mine in found.items()
    }


def sorted_series(entries: Iterable[Entry], kind: str) -> list[tuple[Series, list[list[Entry]]]]:
    """``by_series``, in the alphabetical order of the names."""
    return sorted(by_series(entries, kind).items(), key=lambda each: str(each[0]))


def findings(entries: Sequence[Entry]) -> list[Finding]:
    """What the last night of each series has that is not as before."""
    found = [
        each
        for series, nights in by_series(entries, "benchmarks").items()
        for each in changes(series, nights)
    ]
    for series, nights in by_series(entries, "report").items():
        last = nights[-1][-1]
        twin = twin_of(last, entries)
        if (state := correctness(last, twin)) != "fine":
            what = last.verdict + (f": {', '.join(last.failing)}" if last.failing else "")
            found.append(Finding(series, state, what))
    return found


def twin_of(entry: Entry, entries: Iterable[Entry]) -> Entry | None:
    """The report of the same day, subject, device and level on a released torch; None if none is.

    A run on a released torch is its own measure and has no twin.
    """
    if entry.series.channel != "nightly":
        return None
    for each in entries:
        same = (each.day, each.subject, each.device, each.level) == (
            entry.day,
            entry.subject,
            entry.device,
            entry.level,
        )
        if same and each.kind == entry.kind and each.series.channel != "nightly":
            return each
    return None


def changes(series: Series, nights: Sequence[Sequence[Entry]]) -> list[Finding]:
    """The figures of the last night that changed, without those that are known to have."""
    verdicts = judge_night(nights)
    changed = {key: each for key, each in verdicts.items() if each.state in ("regression", "gain")}
    for back in range(1, min(REMEMBERED, len(nights) - 1) + 1):
        if not changed:
            break
        earlier = judge_night(nights[:-back])
        if len(nights[-1 - back]) > 1:  # only a night whose runs agreed was reported
            changed = {
                key: each
                for key, each in changed.items()
                if key not in earlier or earlier[key].state != each.state
            }
    confirmed = len(nights[-1]) > 1
    return [
        Finding(series, each.state, f"{_name(key)} {each.change:+.1%}", confirmed)
        for key, each in changed.items()
    ]


def _name(key: tuple[str, str, int, str]) -> str:
    group, by, size, _ = key
    return f"{group}, {by}, {size}:"


def as_lines(found: Iterable[Finding]) -> list[str]:
    """The findings for a terminal or a job summary: as Markdown, worst first."""
    order = ("alarm", "regression", "gain", "ours")
    lines = [
        f"- **{each.state}**{'' if each.confirmed else ' (to be run again)'} "
        f"{each.series}: {each.what}"
        for each in sorted(found, key=lambda each: order.index(each.state))
    ]
    return lines or ["Nothing changed."]
