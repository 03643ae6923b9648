"""How far a run is: a line that is written over on a terminal, plain lines elsewhere."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import fmean
from typing import Any, TextIO

from ..core.suite_scan import split_node
from ..reporting.report import PREVIOUS, REPORT, ReportError, read_report
from .plugin_options import BEGUN, SELECTED

_APART = 10.0  # seconds between two plain lines, at least
_LIVE = 1.0  # between two states of a live line
_SLOW = 60.0  # seconds after which one comes also without progress
_ENOUGH = 0.05  # the share of the tests that tells a rate where nothing was recorded


class Durations:
    """What tests took: in an earlier report, and in this run so far.

    A test without a record is expected to take as long as others of its function, or else as long
    as the mean of all.
    """

    def __init__(self, recorded: Mapping[str, float]) -> None:
        self.recorded = dict(recorded)
        self._seen: dict[str, list[float]] = {}
        for case, seconds in self.recorded.items():
            self._learn(case, seconds)

    def learn(self, case: str, seconds: float) -> None:
        """Take note of a test that is done."""
        if case not in self.recorded:
            self._learn(case, seconds)

    def _learn(self, case: str, seconds: float) -> None:
        self._seen.setdefault(case.partition("[")[0], []).append(seconds)

    def of(self, cases: Iterable[str]) -> float:
        """Seconds that the tests take one after another, as far as is known."""
        mean = {name: fmean(some) for name, some in self._seen.items()}
        other = fmean(mean.values()) if mean else 1.0
        return sum(
            self.recorded.get(case, mean.get(case.partition("[")[0], other)) for case in cases
        )


def recorded(folder: Path) -> dict[str, float]:
    """The seconds of each test in the last complete report in ``folder``, by case."""
    for name in (REPORT, PREVIOUS):
        try:
            report = read_report(folder / name)
        except ReportError:
            continue
        if report.complete:
            return {each.case: each.seconds for each in report.results}
    return {}


class Progress:
    """Reads the report as it grows; only what was added since the last look."""

    def __init__(
        self, report: Path, scratch: Path, stream: TextIO, known: Mapping[str, float]
    ) -> None:
        self.report, self.begun, self.selected = report, scratch / BEGUN, scratch / SELECTED
        self.stream = stream
        self.live = stream.isatty()
        self.offset = 0
        self.counts: Counter[str] = Counter()
        self.durations = Durations(known)
        self.cases: list[str] = []  # that are done
        self.before: int | None = None  # results of the run that is gone on with
        self.told = 0  # tests that were done when the last line was printed
        self.began = self.last = time.monotonic()
        self.shown = 0  # characters on the live line

    def tell(self) -> None:
        """Say how far it is, if there is something to say."""
        if not self.begun.exists() or not self.report.exists():
            return
        self._read()
        if self.before is None:
            self.before, self.began = len(self.cases), time.monotonic()
        if not self.selected.exists():
            return
        now = time.monotonic()
        done = len(self.cases) - self.before
        since = now - self.last
        if since < (_LIVE if self.live else _APART if done > self.told else _SLOW):
            return
        line = self._line(done, now)
        if self.live:
            self._over(line)
        else:
            print(line, file=self.stream, flush=True)
        self.told, self.last = done, now

    def _line(self, done: int, now: float) -> str:
        selected = [split_node(each)[1] for each in json.loads(self.selected.read_text())]
        finished = self.cases[self.before :]
        left = seconds_left(self.durations, finished, selected, now - self.began)
        return progress_line(self.counts, done, len(selected), left)

    def clear(self) -> None:
        """Take the live line away."""
        if self.shown:
            self._over("")
            print("\r", end="", file=self.stream, flush=True)

    def _over(self, line: str) -> None:
        print(f"\r{line.ljust(self.shown)}", end="", file=self.stream, flush=True)
        self.shown = len(line)

    def _read(self) -> None:
        with self.report.open("rb") as file:
            file.seek(self.offset)
            whole, end, _ = file.read().rpartition(b"\n")
        self.offset += len(whole) + len(end)
        for raw in whole.splitlines():
            line: dict[str, Any] = json.loads(raw)
            if line.get("kind") == "header":
                for words in line.get("probe", ()):
                    print(words, file=self.stream, flush=True)
            if line.get("kind") == "result":
                self.counts[line["status"]] += 1
                self.cases.append(line["case"])
                self.durations.learn(line["case"], line["seconds"])


def seconds_left(
    durations: Durations, done: list[str], selected: list[str], seconds: float
) -> float | None:
    """How long the rest of ``selected`` takes, after ``done`` took ``seconds``.

    None as long as nothing can be told: before the first result, and where no earlier run has
    recorded anything before a few tests in a hundred are done.
    """
    if not done or not (durations.recorded or len(done) >= _ENOUGH * len(selected)):
        return None
    remaining = list((Counter(selected) - Counter(done)).elements())
    spent = durations.of(done)
    return seconds * durations.of(remaining) / spent if spent else None


def progress_line(counts: Counter[str], done: int, total: int, left: float | None) -> str:
    """One line: tests done, the counts that are not passes, and the time that is left."""
    line = f"{done} of {total} tests"
    if others := ", ".join(f"{n} {s}" for s, n in sorted(counts.items()) if s != "pass"):
        line += f" ({others})"
    if left is not None and done < total:
        minutes, seconds = divmod(round(left), 60)
        line += f", about {minutes}:{seconds:02} left"
    return line
