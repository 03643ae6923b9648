"""How far a run is: a line that is written over on a terminal, plain lines elsewhere."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path
from typing import Any, TextIO

from .plugin_options import BEGUN, SELECTED

_SLOW = 15.0  # seconds after which a plain line comes also without progress


class Progress:
    """Reads the report as it grows; only what was added since the last look."""

    def __init__(self, report: Path, scratch: Path, stream: TextIO) -> None:
        self.report, self.begun, self.selected = report, scratch / BEGUN, scratch / SELECTED
        self.stream = stream
        self.live = stream.isatty()
        self.offset = 0
        self.counts: Counter[str] = Counter()
        self.before: int | None = None  # results of the run that is gone on with
        self.tenth = 0
        self.began = self.last = time.monotonic()
        self.shown = 0  # characters on the live line

    def tell(self) -> None:
        """Say how far it is, if there is something to say."""
        if not self.begun.exists() or not self.report.exists():
            return
        self._read()
        if self.before is None:
            self.before, self.began = sum(self.counts.values()), time.monotonic()
        if not self.selected.exists():
            return
        total = len(json.loads(self.selected.read_text()))
        done = sum(self.counts.values()) - self.before
        now = time.monotonic()
        if self.live:
            self._over(progress_line(self.counts, done, total, now - self.began))
            return
        tenth = 10 * done // total if total else 0
        if tenth > self.tenth or now - self.last > _SLOW:
            line = progress_line(self.counts, done, total, now - self.began)
            print(line, file=self.stream, flush=True)
            self.tenth, self.last = tenth, now

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


def progress_line(counts: Counter[str], done: int, total: int, seconds: float) -> str:
    """One line: tests done, the counts that are not passes, and the time that is left."""
    line = f"{done} of {total} tests"
    if others := ", ".join(f"{n} {s}" for s, n in sorted(counts.items()) if s != "pass"):
        line += f" ({others})"
    if 0 < done < total:
        left = round(seconds / done * (total - done))
        line += f", about {left // 60}:{left % 60:02} left"
    return line
