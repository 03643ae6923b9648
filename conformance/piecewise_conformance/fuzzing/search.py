"""A search: processes that draw and judge, restarted when one dies, and the report of it all.

    workers ──lines──▶ tally by property ──shortest program──▶ script ──fresh process──▶ report

A worker tells what it begins before it begins it, so that a program which kills or hangs the
subject is known. Failures are told apart by requirement and by shortest program.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from piecewise_fixtures.generated import FEATURES, from_json

from .. import environment
from ..loading import load_subject
from ..report import (
    FAILED,
    OTHERWISE,
    REPORT,
    ReportWriter,
    Result,
    make_footer,
    read_report,
)
from ..repros.confirm import rerun
from ..requirements import load
from ..run import Settings, environment_of
from ..terminal import print_report
from ..verdict import Status
from ..watch import why_dead
from .properties import properties
from .repro import printed, script

_TOLD_EVERY = 10.0  # seconds between two lines of progress
_DEATHS = 20  # a subject that dies more often than that is not restarted


@dataclass
class Tally:
    """What the workers told so far."""

    programs: Counter[str] = field(default_factory=Counter)
    thrown: Counter[str] = field(default_factory=Counter)
    features: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    shortest: dict[str, dict[str, Any]] = field(default_factory=dict)  # by key of the property
    distinct: dict[str, set[str]] = field(default_factory=dict)
    errors: dict[str, dict[str, Any]] = field(default_factory=dict)  # of ours, by key
    deaths: list[Result] = field(default_factory=list)

    def take(self, line: dict[str, Any]) -> None:
        """One line of a worker."""
        if line["kind"] == "statistics":
            for name in ("programs", "thrown", "features", "statuses"):
                getattr(self, name).update(line[name])
        elif line["kind"] == "error":
            self.errors.setdefault(line["key"], line)
        elif line["kind"] == "failure":
            key = line["key"]
            best = self.shortest.get(key)
            if not line["whole"]:
                self.distinct.setdefault(key, set()).add(line["program"])
            if best is None or _better(line, best):
                self.shortest[key] = line

    def told(self, seconds: float) -> str:
        """One line of progress."""
        count = self.programs.total()
        seen = sum(1 for each in FEATURES if self.features[each])
        failing = ", ".join(sorted(key.partition(":")[0] for key in self.shortest)) or "none"
        return (
            f"{count} programs, {count / max(seconds, 1e-9):.1f}/s, {seen} of {len(FEATURES)} "
            f"features; failing: {failing}; thrown away: {self.thrown.total()}; "
            f"processes that died: {len(self.deaths)}"
        )


def _better(line: dict[str, Any], best: dict[str, Any]) -> bool:
    """Whether ``line`` is the better example: shortened, and short."""
    return (line["whole"], len(line["program"])) < (best["whole"], len(best["program"]))


class _Worker:
    """One process of the search, and where it got to."""

    def __init__(self, number: int, options: Options, folder: Path) -> None:
        self.number, self.options = number, options
        self.lines, self.stack = folder / f"lines-{number}", folder / f"stack-fuzz{number}.txt"
        self.folder, self.read = folder, 0
        self.last: dict[str, Any] | None = None
        self.process = self._start(number)

    def _start(self, first: int) -> subprocess.Popen[bytes]:
        options = self.options
        self.done = False
        command = [sys.executable, "-m", "piecewise_conformance.fuzzing.worker"]
        command += ["--backend", options.backend, "--seed", str(options.seed)]
        command += ["--first", str(first), "--step", str(options.jobs)]
        command += ["--seconds", str(max(options.ends - time.monotonic(), 0.0))]
        command += ["--timeout", str(options.timeout), "--capture", options.capture]
        command += ["--lines", str(self.lines), "--stack", str(self.stack)]
        command += ["--compiler", options.compiler, "--before", str(options.programs)]
        command += ["--stop-at-first"] if options.stop_at_first else []
        with (self.folder / f"log-{self.number}").open("ab") as log:
            return subprocess.Popen(
                command, env=options.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def new_lines(self) -> list[dict[str, Any]]:
        """Whole lines that were not there before."""
        if not self.lines.exists():
            return []
        with self.lines.open("rb") as file:
            file.seek(self.read)
            *whole, _ = file.read().split(b"\n")
        self.read += sum(len(each) + 1 for each in whole)
        found = [json.loads(each) for each in whole]
        for line in found:
            self.done |= line["kind"] == "done"
            if line["kind"] == "begin":
                self.last = line
        return found

    def after_death(self) -> Result:
        """What killed it, as a result; it is started again behind that program."""
        status, message = why_dead(self.stack, self.process.returncode)
        last = self.last or {"name": "before the first program", "program": "", "capture": ""}
        _, _, number = last["name"].rpartition(":")
        first = int(number) + self.options.jobs if number.isdigit() else self.number
        self.process = self._start(first)
        return Result(
            "SPLIT-006" if last["capture"] == "direct" else "STITCH-001",
            f"fuzz[{last['name']}]",
            status,
            message=message,
            program=last["program"],
        )


@dataclass
class Options:
    """What to search, and for how long."""

    backend: str
    minutes: float
    jobs: int
    seed: int
    out: Path
    timeout: float = 60.0
    capture: str = "both"
    compiler: str = ""
    programs: int = 0  # 0: as many as there is time for
    stop_at_first: bool = False
    command: str = ""
    ends: float = 0.0
    environment: dict[str, str] = field(default_factory=dict)


def search(options: Options) -> int:
    """Search until the time is up, and report; the exit status of the report.

    Raises LoadError for a subject that cannot be loaded.
    """
    subject = load_subject(options.backend)
    options.jobs = options.jobs or os.cpu_count() or 1
    began = time.monotonic()
    options.ends = began + 60 * options.minutes
    writer = ReportWriter(options.out / REPORT)
    writer.start(
        {
            "subject": {
                "name": subject.name,
                "spec": options.backend,
                "version": subject.version,
            },
            "versions": environment.versions(),
            "device": "cpu",
            "seed": options.seed,
            "profiles": ["fuzz"],
            "keyword": "",
            "command": options.command,
        }
    )
    with tempfile.TemporaryDirectory(prefix="piecewise-fuzz-") as scratch:
        folder = Path(scratch)
        options.environment = {
            **environment_of(Settings(backend=options.backend), folder),
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        }
        tally = _watched(options, folder, began)
        results = _results(options, tally)
    for result in results:
        writer.add(result)
    footer = make_footer(results, seconds=time.monotonic() - began)
    writer.finish(footer)
    print(tally.told(time.monotonic() - began), flush=True)
    print_report(sys.stdout, read_report(writer.path), load(), folder=options.out)
    status: int = footer["exit_status"]
    return status


def _watched(options: Options, folder: Path, began: float) -> Tally:
    tally = Tally()
    workers = [_Worker(number, options, folder) for number in range(options.jobs)]
    told = began
    try:
        while any(not worker.done for worker in workers):
            for worker in workers:
                ended = worker.process.poll() is not None
                for line in worker.new_lines():
                    tally.take(line)
                if ended and not worker.done:
                    tally.deaths.append(worker.after_death())
                    if len(tally.deaths) >= _DEATHS or time.monotonic() > options.ends:
                        return tally
            if options.stop_at_first and tally.shortest:
                return tally
            if time.monotonic() - told > _TOLD_EVERY:
                told = time.monotonic()
                print(tally.told(told - began), flush=True)
            time.sleep(0.2)
    finally:
        for worker in workers:
            worker.process.kill()
            worker.process.wait()
    return tally


def _results(options: Options, tally: Tally) -> list[Result]:
    """One result a property, and one a death."""
    results = []
    for key, asked in properties().items():
        if asked.compiler != options.compiler:
            continue
        judged = {
            status.value: tally.statuses[f"{key}={status.value}"]
            for status in Status
            if tally.statuses[f"{key}={status.value}"]
        }
        result = Result(asked.requirement, f"fuzz[{asked.case}]", Status.PASS, message=str(judged))
        if key in tally.shortest:
            result = _failure(options, tally, key, result)
        elif key in tally.errors:
            ours = tally.errors[key]
            message = f"program {ours['name']}: {ours['message']}"
            result = dataclasses.replace(result, status=Status.ERROR, message=message)
        elif not judged.get("pass"):
            status = Status.UNSUPPORTED if judged else Status.NOT_RUN
            result = dataclasses.replace(result, status=status, message="no program was judged")
        results.append(result)
    return [*results, *tally.deaths]


def _failure(options: Options, tally: Tally, key: str, result: Result) -> Result:
    """The failure with its script, which is run once more before it is reported."""
    line = tally.shortest[key]
    program = from_json(line["program"])
    name = f"{key.replace(':', '-')}.py"
    path = options.out / "repros" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    message = line.get("message", "it failed, and was not shortened in time")
    path.write_text(
        script(options.backend, key, program, line["name"], message, name), encoding="utf-8"
    )
    failed = dataclasses.replace(result, status=Status.FAIL, message=message)
    came = rerun(path, failed, limit=options.timeout).came
    if came not in (FAILED, OTHERWISE):
        message += " (this did NOT show again in a fresh process)"
    count = len(tally.distinct.get(key, ()))
    return dataclasses.replace(
        failed,
        message=f"{message} [{count} distinct programs, the shortest of them here]",
        expected=line.get("expected", ""),
        got=line.get("got", ""),
        program=printed(key, program),
        repro=f"repros/{name}",
        repro_run=came,
        how_to_run=f"python {path}",
    )
