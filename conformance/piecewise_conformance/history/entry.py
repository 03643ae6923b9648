"""One run in the history: a verdict, or figures, with what it may be compared by.

An entry is one line of JSON. Its ``id`` is the digest of its content, so that the same run appended
twice is one entry, and a line that somebody edited is noticed.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import Any

SCHEMA = 1


class HistoryError(Exception):
    """A history, or a file for it, that cannot be read; the message says why."""


@dataclass(frozen=True)
class Figure:
    """A value that a run measured of ``by``, the way to run, with the spread of its rounds."""

    group: str
    by: str
    size: int
    unit: str  # "s" or "B"
    value: float
    spread: float = 0.0

    @property
    def key(self) -> tuple[str, str, int, str]:
        """What identifies the figure in a run."""
        return self.group, self.by, self.size, self.unit

    @property
    def is_limit(self) -> bool:
        """Whether the figure is the machine's own: it changes with the machine only."""
        return self.by.startswith("limit:")


@dataclass(frozen=True)
class Series:
    """What two runs must share to be compared: entries of one series differ by their date only."""

    subject: str
    channel: str  # of torch: "2.13.0", or "nightly", whose versions follow one another
    device: str
    machine: str
    level: str
    job: str

    def __str__(self) -> str:
        parts = (self.subject, f"torch {self.channel}", self.machine or self.device)
        return ", ".join([*parts, *filter(None, (self.level, self.job))])


@dataclass(frozen=True)
class Entry:
    """One run. ``verdict`` and ``failing`` are empty for benchmarks, ``figures`` for a report."""

    kind: str  # "report" or "benchmarks"
    started: str  # in ISO 8601
    subject: str
    torch: str
    torch_git: str
    device: str
    machine: str = ""
    level: str = ""
    job: str = ""
    link: str = ""
    verdict: str = ""
    exit_status: int = 0
    totals: Mapping[str, int] = field(default_factory=dict)
    failing: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = ()

    @property
    def day(self) -> date:
        """The day on which the run started."""
        return date.fromisoformat(self.started[:10])

    @property
    def series(self) -> Series:
        """What the run can be compared with."""
        channel = "nightly" if ".dev" in self.torch else self.torch.partition("+")[0]
        return Series(self.subject, channel, self.device, self.machine, self.level, self.job)

    @property
    def id(self) -> str:
        """The digest of the content."""
        return _digest(self._content())

    def _content(self) -> dict[str, Any]:
        content = {key: value for key, value in asdict(self).items() if value or key == "kind"}
        if self.figures:
            content["figures"] = [
                [f.group, f.by, f.size, f.unit, f.value, f.spread] for f in self.figures
            ]
        return {"schema": SCHEMA, **content}

    def to_line(self) -> str:
        """The line of the history, with its end."""
        return _compact({"id": self.id, **self._content()}) + "\n"


def from_line(text: str) -> Entry:
    """The entry of one line. ValueError says what is wrong with a line that is not one."""
    content = json.loads(text)
    if not isinstance(content, dict):
        raise ValueError(f"a {type(content).__name__}, not an object")
    id = content.pop("id", None)
    if id != _digest(content):
        raise ValueError("the content does not fit the id")
    if content.pop("schema", None) != SCHEMA:
        raise ValueError(f"not of schema {SCHEMA}")
    try:
        figures = tuple(Figure(*each) for each in content.pop("figures", ()))
        failing = tuple(content.pop("failing", ()))
        made = Entry(**content, figures=figures, failing=failing)
        made.day  # noqa: B018  an entry without a date is refused here
    except TypeError as error:
        raise ValueError(str(error)) from error
    if not all(math.isfinite(each.value) for each in figures):
        raise ValueError("a figure is not a finite number")
    return made


def _compact(content: Mapping[str, Any]) -> str:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(_compact(content).encode()).hexdigest()[:20]
