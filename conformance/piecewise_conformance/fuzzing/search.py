"""A search: processes that draw and judge, restarted when one dies, and the report of it all.

    workers ──lines──▶ tally by property ──shortest program──▶ script ──fresh process──▶ report

A worker tells what it begins before it begins it, so that a program which kills or hangs the
subject is known. Failures are told apart by requirement and by shortest program.
"""

from __future__ import annotations

import dataclasses
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from piecewise_fixtures.generated import from_json

from ..core import environment
from ..core.requirements import load
from ..core.verdict import Status
from ..isolation.watchdog import kill_overdue
from ..reporting.report import (
    FAILED,
    OTHERWISE,
    REPORT,
    ReportWriter,
    Result,
    read_report,
)
from ..reporting.terminal import print_report
from ..reporting.verdict import make_footer, scope_of
from ..repros.confirm import START, rerun
from ..runner.run import Settings, environment_of
from ..subject.loading import load_subject
from .process import Options, Worker
from .properties import properties
from .repro import printed, script
from .tally import Death, Tally

__all__ = ["Options", "search"]

_TOLD_EVERY = 10.0  # seconds between two lines of progress
_DEATHS = 20  # a subject that dies more often than that is not restarted


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
    scope = scope_of(results, load())
    footer = make_footer(results, seconds=time.monotonic() - began, scope=scope)
    writer.finish(footer)
    print(tally.told(time.monotonic() - began), flush=True)
    print_report(sys.stdout, read_report(writer.path), load(), folder=options.out)
    status: int = footer["exit_status"]
    return status


def _watched(options: Options, folder: Path, began: float) -> Tally:
    tally = Tally()
    workers = [Worker(number, options, folder) for number in range(options.jobs)]
    told = began
    try:
        while any(not worker.done for worker in workers):
            kill_overdue(folder, options.timeout)
            for worker in workers:
                ended = worker.process.poll() is not None
                for line in worker.new_lines():
                    tally.take(line)
                if ended and worker.next is not None:
                    worker.renew(worker.next)
                elif ended and not worker.done:
                    tally.deaths.append(worker.after_death())
                    if len(tally.deaths) >= _DEATHS or time.monotonic() > options.ends:
                        return tally
            if options.stop_at_first and tally.shortest:
                return tally
            if time.monotonic() - told > _TOLD_EVERY:
                told = time.monotonic()
                print(tally.told(told - began), flush=True)
            time.sleep(0.2)
    except KeyboardInterrupt:
        print("interrupted; the report has the results so far", flush=True)
    finally:
        for worker in workers:
            worker.end()
    return tally


def _results(options: Options, tally: Tally) -> list[Result]:
    """One result a property, and one for each way in which it killed a process."""
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
    return [*results, *_deaths(options, tally)]


def _failure(options: Options, tally: Tally, key: str, result: Result) -> Result:
    """The failure with its script, which is run once more before it is reported."""
    line = tally.shortest[key]
    message = line.get("message", "it failed, and was not shortened in time")
    failed = dataclasses.replace(
        result,
        status=Status.FAIL,
        message=message,
        expected=line.get("expected", ""),
        got=line.get("got", ""),
    )
    count = len(tally.distinct.get(key, ()))
    told = f"{count} distinct programs; the shortest is shown"
    return _with_script(options, key, line["name"], line["program"], failed, told)


def _deaths(options: Options, tally: Tally) -> Iterator[Result]:
    """For each property and each way to die the first that did, with its script."""
    alike: dict[tuple[str, Status], list[Death]] = {}
    for death in tally.deaths:
        alike.setdefault((death.key, death.status), []).append(death)
    for (key, status), deaths in alike.items():
        first = deaths[0]
        if not key:  # nobody's but torch's and ours: no subject has seen the program
            message = f"{first.name}: {first.message}, while no property was being checked"
            case = f"fuzz[nothing judged, {status.value}]"
            yield Result("STITCH-001", case, Status.ERROR, message=message, program=first.program)
            continue
        asked = properties()[key]
        case = f"fuzz[{asked.case}, {status.value}]"
        died = Result(asked.requirement, case, status, message=first.message)
        told = f"{len(deaths)} programs, the first of them here"
        yield _with_script(options, key, first.name, first.program, died, told)


def _with_script(
    options: Options, key: str, seed: str, text: str, failed: Result, told: str
) -> Result:
    """``failed`` with the script of the program ``text``, and what came of that."""
    program, message = from_json(text), failed.message
    kind = "" if failed.status is Status.FAIL else f"-{failed.status.value}"
    name = f"{key.replace(':', '-')}{kind}.py"
    path = options.out / "repros" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(script(options.backend, key, program, seed, message, name), encoding="utf-8")
    came = rerun(path, failed, limit=options.timeout + START).came
    if came not in (FAILED, OTHERWISE):
        message += " (this did NOT show again in a fresh process)"
    return dataclasses.replace(
        failed,
        message=f"{message} [{told}]",
        program=printed(key, program),
        repro=f"repros/{name}",
        repro_run=came,
        how_to_run=f"python {path}",
    )
