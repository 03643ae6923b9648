"""Run scripts in fresh processes, as a person would, and say what came of each."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from ..core.verdict import Status
from ..reporting.report import FAILED, HELD, NO_VERDICT, NOT_RUN, OTHERWISE, Result
from ..reporting.signatures import gist

SAYS = "verdict: "  # begins the line of a script from which a verdict is read
_SHORTEST, _LONGEST = 150.0, 240.0  # seconds for one script
START = 20.0  # of which it may take to import torch
_HANG = 60.0  # after which a script of a test that hung is said to hang


@dataclass(frozen=True)
class Rerun:
    """What came of a script in a process of its own."""

    came: str
    text: str = ""  # what it printed, or why there is nothing

    def as_of(self, result: Result) -> Result:
        """``result``, which says what came of its script."""
        return dataclasses.replace(result, repro_run=self.came)


def confirm(
    scripts: Sequence[tuple[Path, Result]],
    *,
    jobs: int,
    seconds: float,
    timeout: float = 300.0,
    patience: float = 1.0,
    told: Callable[[Path, Result, Rerun], None] = lambda path, result, came: None,
) -> list[Rerun]:
    """What came of each script; those that are not begun within ``seconds`` are not run.

    ``timeout`` is the limit that the tests had, ``patience`` how many times the usual a script may
    take. Each is ``told`` when it has ended, in a thread of its own.
    """
    ends = time.monotonic() + seconds

    def one(script: tuple[Path, Result]) -> Rerun:
        if time.monotonic() > ends:
            return Rerun(NOT_RUN, "the time of --confirm was over")
        came = rerun(*script, limit=patience * _limit(script[1], timeout))
        told(*script, came)
        return came

    with ThreadPoolExecutor(max(jobs, 1)) as pool:
        futures = [pool.submit(one, each) for each in scripts]
        try:
            wait(futures)
        except KeyboardInterrupt:  # what has begun ends; no more is begun
            pool.shutdown(cancel_futures=True)
    return [
        Rerun(NOT_RUN, "interrupted") if each.cancelled() else each.result() for each in futures
    ]


def _limit(result: Result, timeout: float) -> float:
    if result.status is Status.TIMEOUT:
        return min(timeout, _HANG) + START
    return min(max(_SHORTEST, 5 * result.seconds), _LONGEST)


def rerun(path: Path, result: Result, *, limit: float) -> Rerun:
    """Run the script of ``result`` at ``path``."""
    with tempfile.TemporaryDirectory(prefix="piecewise-rerun-", ignore_cleanup_errors=True) as own:
        with Path(own, "out").open("wb") as out:
            child = subprocess.Popen(
                [sys.executable, str(path.resolve())],
                env={**os.environ, "TMPDIR": own},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                code: int | None = child.wait(limit)
            except subprocess.TimeoutExpired:
                code = None
            finally:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(child.pid, signal.SIGKILL)
                child.wait()
        text = Path(own, "out").read_text(encoding="utf-8", errors="replace")
    return Rerun(
        _what(result, code, text), text if code is not None else f"{text}\nnot finished in time"
    )


def _what(result: Result, code: int | None, text: str) -> str:
    """What it means that a script ended with ``code``, None for not in time, and wrote ``text``."""
    verdict = text.rpartition(SAYS)[2] if SAYS in text else ""
    if code is None:
        return FAILED if result.status is Status.TIMEOUT else NO_VERDICT
    if not verdict:  # it ended before it could say
        if code == 1 and "Traceback (most recent call last)" in text:
            return NO_VERDICT
        return FAILED if result.status is Status.CRASH else OTHERWISE
    status, _, message = verdict.partition(": ")
    if status == Status.PASS.value:
        return HELD
    if status not in (Status.FAIL.value, Status.CRASH.value):
        return NO_VERDICT
    if status != result.status.value:
        return OTHERWISE
    crashed = result.status is Status.CRASH
    return FAILED if crashed or gist(message) == gist(result.message) else OTHERWISE
