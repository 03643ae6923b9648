"""Search dated nightlies of torch for the one with which a case began to fail."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..core.verdict import Status
from ..reporting.report import FAILING, REPORT, ReportError, read_report
from . import processes
from .environments import Installing, prepare, prune
from .session import spec_of
from .sources import SourceError, describe, last_error

_DATED = re.compile(r"\d[\w.]*\.dev(\d{8})[\w.+]*")


@dataclass(frozen=True)
class Tried:
    """The result of one nightly. ``fails`` is None if it could not be judged; ``why`` says why."""

    fails: bool | None
    git_version: str = ""
    why: str = ""


@dataclass
class Found:
    """The end of a search: the last nightly that holds, and the first that fails after it."""

    good: str
    bad: str
    tried: dict[str, Tried] = field(default_factory=dict)

    @property
    def skipped(self) -> list[str]:
        """The nightlies in between that could not be judged."""
        return sorted(date for date in self.tried if self.good < date < self.bad)

    def __str__(self) -> str:
        commits = [self.tried[each].git_version or "unknown" for each in (self.good, self.bad)]
        lines = [
            f"holds on {self.good}, fails on {self.bad}",
            f"commits {commits[0]}..{commits[1]}",
        ]
        lines += [f"skipped {date}: {self.tried[date].why}" for date in self.skipped]
        return "\n".join(lines)


class SearchError(Exception):
    """A search that cannot begin; the message says why."""


def search(dates: Sequence[str], judge: Callable[[str], Tried]) -> Found:
    """Halve ``dates``, of which the first must hold and the last must fail, until they are next.

    A date that cannot be judged is passed over for the nearest one to it.
    """
    ordered = sorted(dates)
    if len(ordered) < 2:
        raise SearchError(f"there are {len(ordered)} nightlies between the dates, not 2 or more")
    tried: dict[str, Tried] = {}
    for date, wanted in ((ordered[0], False), (ordered[-1], True)):
        tried[date] = judge(date)
        if tried[date].fails is not wanted:
            states = {None: f"cannot be judged: {tried[date].why}", True: "fails", False: "holds"}
            raise SearchError(
                f"{date} {states[tried[date].fails]}, but was given as "
                f"{'bad' if wanted else 'good'}"
            )
    low, high = 0, len(ordered) - 1
    while left := [at for at in range(low + 1, high) if ordered[at] not in tried]:
        middle = (low + high) / 2
        at = min(left, key=lambda each: abs(each - middle))
        tried[ordered[at]] = came = judge(ordered[at])
        if came.fails is True:
            high = at
        elif came.fails is False:
            low = at
    return Found(ordered[low], ordered[high], tried)


def dated(pip: Sequence[str]) -> Mapping[str, str]:
    """The nightlies that pip's index has: versions by their date, as in 20260901."""
    command = [sys.executable, "-m", "pip", "index", "versions", "torch", "--pre", *pip]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise SearchError(f"the index cannot be listed: {last_error(done.stderr)}")
    return {match[1]: match[0] for match in _DATED.finditer(done.stdout)}


def judging(
    versions: Mapping[str, str], case: str, subject: str, out: Path, how: Installing
) -> Callable[[str], Tried]:
    """A judge of dates: installs the nightly, runs ``case``, and deletes the environment again."""
    id, _, name = case.partition(" ")
    spec, requirement = spec_of(subject)

    def judge(date: str) -> Tried:
        version = versions[date]
        try:
            python = prepare(version, requirement, how)
            commit = describe(python).git_version
            folder = out / date
            command = [str(python), "-m", "piecewise_conformance", "run", "--backend", spec]
            command += ["--id", id, "--case", name, "--confirm", "0", "--jobs", "1"]
            command += ["--out", str(folder.resolve())]
            subprocess.run(command, capture_output=True, env=processes.clean_environment())
            results = read_report(folder / REPORT).results
        except (SourceError, ReportError) as error:
            return Tried(None, why=str(error))
        finally:
            prune(version, how)
        if not results:
            return Tried(None, commit, f"no test is the case {case}")
        status = results[0].status
        if status in FAILING or status is Status.XFAIL:
            return Tried(True, commit)
        passed = status in (Status.PASS, Status.XPASS)
        return Tried(False if passed else None, commit, "" if passed else results[0].message)

    return judge
