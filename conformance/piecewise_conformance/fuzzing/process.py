"""The processes of a search: started, read line by line, and started again when they die."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..isolation.watchdog import why_dead
from .tally import Death


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
    programs: int = 0  # the number of the program to stop before; 0: as far as there is time for
    start: int = 0  # the number of the first program; the corpus goes before number 0
    captures: int = 1000  # of one process; what Dynamo keeps of a capture is never given back
    stop_at_first: bool = False
    command: str = ""
    ends: float = 0.0
    environment: dict[str, str] = field(default_factory=dict)


class Worker:
    """One process of the search, and where it got to."""

    def __init__(self, number: int, options: Options, folder: Path) -> None:
        self.number, self.options = number, options
        self.lines, self.stack = folder / f"lines-{number}", folder / f"stack-fuzz{number}.txt"
        self.folder, self.read = folder, 0
        self.last: dict[str, Any] = {}
        self.next: int | None = None  # where another process is to go on
        self.process = self._start(number)

    def _start(self, first: int) -> subprocess.Popen[bytes]:
        options = self.options
        self.done, self.next = False, None
        command = [sys.executable, "-m", "piecewise_conformance.fuzzing.worker"]
        command += ["--backend", options.backend, "--seed", str(options.seed)]
        command += ["--first", str(first), "--step", str(options.jobs)]
        command += ["--seconds", str(max(options.ends - time.monotonic(), 0.0))]
        command += ["--timeout", str(options.timeout), "--capture", options.capture]
        command += ["--runner", str(os.getpid())]
        command += ["--lines", str(self.lines), "--stack", str(self.stack)]
        command += ["--compiler", options.compiler, "--before", str(options.programs)]
        command += ["--captures", str(options.captures), "--start", str(options.start)]
        command += ["--stop-at-first"] if options.stop_at_first else []
        with (self.folder / f"log-{self.number}").open("ab") as log:
            return subprocess.Popen(
                command,
                env=options.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # with what the subject starts it is one group, and ends
            )

    def end(self) -> None:
        """End it, and what the subject has forked and left behind."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def new_lines(self) -> list[dict[str, Any]]:
        """Whole lines that were not there before."""
        if not self.lines.exists():
            return []
        with self.lines.open("rb") as file:
            file.seek(self.read)
            *whole, _ = file.read().split(b"\n")
        self.read += sum(len(each) + 1 for each in whole)
        found = []
        for each in whole:
            try:
                line = json.loads(each)
            except ValueError:  # its process died over it, or it is empty
                continue
            found.append(line)
            self.done |= line["kind"] == "done"
            if line["kind"] == "begin":
                self.last = line
            elif line["kind"] == "asks":
                self.last["key"] = line["key"]
            elif line["kind"] == "renew":
                self.next = line["place"]
        return found

    def renew(self, place: int) -> None:
        """Go on at ``place`` in another process."""
        self.end()
        self.process = self._start(place)

    def after_death(self) -> Death:
        """What killed it; it is started again behind that program."""
        status, message = why_dead(self.stack, self.process.returncode)
        last = self.last or {"name": "before the first program", "place": None}
        self.end()
        place = last["place"]
        self.process = self._start(self.number if place is None else place + self.options.jobs)
        return Death(status, message, last["name"], last.get("program", ""), last.get("key", ""))
