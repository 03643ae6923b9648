"""``report.jsonl``: a header, one line per result, and a footer without which it is incomplete.

Results are appended as they come, so that a run that dies leaves what it had. The form of the
lines is fixed: scripts depend on it. Keys may be added, never changed.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from ..core.requirements import CONSEQUENCES
from ..core.verdict import Status
from . import schema

REPORT = "report.jsonl"
PREVIOUS = "report.previous.jsonl"

CONFORMANT, NOT_CONFORMANT, USAGE, INCOMPLETE = 0, 1, 2, 3

FAILING = (Status.FAIL, Status.CRASH, Status.TIMEOUT)


# What came of the script of a failure in a process of its own (``repro_run``), and in words.
FAILED, OTHERWISE, HELD, NO_VERDICT, NOT_RUN = (
    "failed",
    "failed otherwise",
    "held",
    "no verdict",
    "not run",
)
_SCRIPT_WENT = {
    FAILED: "it fails there too",
    OTHERWISE: "it fails there too, but in another way",
    HELD: "it did NOT fail there",
    NO_VERDICT: "it gave no verdict there",
    NOT_RUN: "not run: another case of the test was run, or the time of --confirm was over",
}


class ReportError(Exception):
    """A report that cannot be read, or not be gone on with; the message says why."""


@dataclass(frozen=True)
class Result:
    """What came of one test. ``case`` tells the tests of one requirement apart."""

    id: str
    case: str
    status: Status
    message: str = ""
    repro: str | None = None
    seconds: float = 0.0
    level: str = "MUST"
    expected: str = ""
    got: str = ""
    program: str = ""
    how_to_run: str = ""
    repro_run: str | None = None
    consequence: str = ""  # empty in reports of earlier versions

    @property
    def key(self) -> tuple[str, str]:
        """What identifies the result in a report."""
        return self.id, self.case

    @property
    def family(self) -> str:
        """The family of the requirement."""
        return self.id.rpartition("-")[0]

    @property
    def rank(self) -> int:
        """How bad the consequence of a failure is: 0 for the worst, most for an unknown one."""
        known = self.consequence in CONSEQUENCES
        return CONSEQUENCES.index(self.consequence) if known else len(CONSEQUENCES)

    @property
    def failing(self) -> bool:
        """Whether the subject did not do what the requirement says."""
        return self.status in FAILING

    def to_json(self) -> dict[str, Any]:
        """The line of the report."""
        return {"kind": "result", **asdict(self), "status": self.status.value}

    @classmethod
    def from_json(cls, line: Mapping[str, Any]) -> Result:
        """The result of one line; keys that are not known are passed over."""
        known = {each.name: line[each.name] for each in fields(cls) if each.name in line}
        return cls(**{**known, "status": Status(line["status"])})


def how_a_script_went(result: Result) -> str:
    """``repro_run`` in words."""
    return _SCRIPT_WENT.get(result.repro_run or NOT_RUN, result.repro_run or "")


@dataclass
class Report:
    """A report as it was read; ``torn`` if its last line was cut off in writing."""

    header: dict[str, Any]
    results: list[Result] = field(default_factory=list)
    footer: dict[str, Any] | None = None
    torn: bool = False

    @property
    def complete(self) -> bool:
        """Whether the run came to its end."""
        return self.footer is not None


def read_report(path: Path) -> Report:
    """The report at ``path``. A last line without its end is left out; other damage is an error."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise ReportError(f"{path} cannot be read: {error.strerror}") from error
    *lines, rest = text.split(b"\n")
    report: Report | None = None
    for number, raw in enumerate(lines, start=1):
        try:
            line = dict(schema.check_line(json.loads(raw)))
            kind = line["kind"]
            if kind == "header" and report is None:
                report = Report(line)
            elif kind == "result" and report is not None and report.footer is None:
                report.results.append(Result.from_json(line))
            elif kind == "footer" and report is not None and report.footer is None:
                report.footer = line
            else:
                raise ValueError(
                    f"unexpected {kind} line; expected a header, then results, then a footer"
                )
        except (ValueError, KeyError, TypeError) as error:
            raise ReportError(f"{path}:{number} is not a line of a report: {error}") from error
    if report is None:
        raise ReportError(f"{path} has no header line; it is not a report")
    report.torn = bool(rest)
    return report


class ReportWriter:
    """Appends to a report, one whole line at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def start(self, header: Mapping[str, Any]) -> None:
        """Begin a report. One that is there already is moved aside, never lost."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        fresh.write_text(
            _line({"kind": "header", "schema": schema.VERSION, **header}), encoding="utf-8"
        )
        if self.path.exists():
            self.path.replace(self.path.with_name(PREVIOUS))
        fresh.replace(self.path)

    def go_on(self, header: Mapping[str, Any]) -> list[Result]:
        """Take up an incomplete report of the same run; the results that it has.

        ReportError if there is none, if it is complete, or if another run wrote it.
        """
        report = read_report(self.path)
        if report.complete:
            raise ReportError(f"{self.path} is complete; there is nothing to resume")
        before, now = report.header.get(DIGEST), header.get(DIGEST)
        if before and before != now:
            raise ReportError(
                f"{self.path} was started with other files of the subject (digest {before}, now "
                f"{now}), and a report has results of one version; run without --resume"
            )
        for key in RESUME_KEYS:
            before, now = report.header.get(key), header.get(key)
            if (before or None) != (now or None):
                raise ReportError(
                    f"{self.path} was started with {key} {before!r}, not {now!r}; "
                    "pass the same options, or run without --resume"
                )
        if report.torn:
            data = self.path.read_bytes()
            os.truncate(self.path, data.rindex(b"\n") + 1)
        return report.results

    def add(self, result: Result) -> None:
        """Append one result."""
        self._append(result.to_json())

    def amend(self, report: Report, results: Iterable[Result]) -> Report:
        """Write the report once more, with ``results`` in the place of those that it has."""
        fresh = self.path.with_name(f"{self.path.name}.new")
        results = list(results)
        lines = [report.header, *(each.to_json() for each in results)]
        fresh.write_text("".join(map(_line, lines)), encoding="utf-8")
        fresh.replace(self.path)
        return Report(report.header, results)

    def finish(self, footer: Mapping[str, Any]) -> None:
        """Append the footer: from now on the report is complete."""
        self._append({"kind": "footer", **footer})

    def _append(self, line: Mapping[str, Any]) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(_line(line))


DIGEST = "subject_digest"  # of the subject's files; null where it has none of its own

# What must be the same for results of two runs to stand in one report.
RESUME_KEYS = (
    "subject",
    "device",
    "seed",
    "profiles",
    "keyword",
    "families",
    "ids",
    "cases",
    "level",
    "level_digest",
    "versions",
    "shard",
    "expectations",
)


def _line(value: Mapping[str, Any]) -> str:
    # Sets and paths have no JSON of their own; text of a subject may have lone surrogates.
    return json.dumps(value, ensure_ascii=True, default=str) + "\n"


def how_to_run(
    spec: str, id: str, case: str, *, device: str = "cpu", seed: int = 0, out: str = ""
) -> str:
    """The command that runs one case alone, with this interpreter, and reports into ``out``."""
    command = [sys.executable, "-m", "piecewise_conformance", "run", "--backend", spec]
    command += ["--device", device] if device != "cpu" else []
    command += ["--seed", str(seed)] if seed else []
    command += ["--id", id, "--case", case]
    return shlex.join([*command, "--out", out] if out else command)


def how_to_run_script(path: Path) -> str:
    """The command that runs the script of a failure with this interpreter."""
    return shlex.join([sys.executable, str(path)])
