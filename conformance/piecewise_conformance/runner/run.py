"""One conformance run: pytest in a process of its own, watched from here.

The subject is loaded and tested in other processes, so that whatever it does to them, the verdict
is given by one that it never ran in. An ``os._exit(0)`` in the import of a subject is no pass.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from ..certificate import write_certificate
from ..core.requirements import load
from ..core.suite_scan import SUITE_FOLDER, scan, split_node
from ..isolation.watchdog import kill_overdue, stack_file, why_dead
from ..reporting.expectations import accept, own_file, unmatched_of
from ..reporting.html_report import write_html
from ..reporting.junit import write_junit
from ..reporting.report import (
    INCOMPLETE,
    REPORT,
    USAGE,
    Report,
    ReportError,
    ReportWriter,
    read_report,
)
from ..reporting.selected import Selected
from ..reporting.terminal import print_report
from ..reporting.verdict import (
    exit_status,
    level_result,
    make_footer,
    requirements_of,
    scope_of,
)
from .plugin_options import BEGUN, LOADING, SELECTED
from .progress import Progress, recorded

LOG = "pytest.log"
_INI = Path(__file__).parent / "conformance.ini"
_PLUGINS = (
    "piecewise_conformance.runner.plugin",
    "no:cacheprovider",
    "no:faulthandler",
    "no:unraisableexception",  # its last act is to collect all garbage five times over: seconds
)
_OK = (0, 1, 5)  # pytest's: all passed, some failed, nothing collected
_USAGE, _INTERRUPTED = 4, 2


@dataclass(frozen=True)
class Settings:
    """What a run is told. ``suite`` and ``spec`` are folders; by default those of the harness."""

    backend: str = "reference"
    profiles: tuple[str, ...] = ()
    device: str = "cpu"
    jobs: int = 0  # 0: one for each core
    out: Path = Path("conformance-report")
    resume: bool = False
    seed: int = 0
    keyword: str = ""
    selected: Selected = field(default_factory=Selected)
    timeout: float = 300.0
    memory: int = 0  # MiB a process; 0: no limit
    shard: str = ""
    expectations: Path | None = None
    accept: bool = False
    durations: int = 0  # of how many requirements to tell what they took
    confirm: float = 300.0  # seconds for running the scripts of failures; 0: none is run
    command: str = ""
    suite: Path | None = None
    spec: Path | None = None

    @property
    def workers(self) -> int:
        """The number of processes that run tests."""
        return self.jobs or os.cpu_count() or 1


def run(settings: Settings, stream: TextIO | None = None) -> int:
    """Test the subject, write the reports, print what came of it; the exit status."""
    stream = sys.stdout if stream is None else stream
    began = time.monotonic()
    out = settings.out
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        print(f"error: --out {out} cannot be created: {error.strerror}", file=sys.stderr)
        return USAGE
    scratch = Path(tempfile.mkdtemp(prefix="piecewise-run-")).resolve()
    try:
        code = _pytest(settings, scratch, stream)
        if not (scratch / BEGUN).exists():
            return _never_began(settings, scratch, code)
        report = read_report(out / REPORT)
        requirements = load(settings.spec)
        problem = _problem(settings, scratch, code, {each.key for each in report.results})
        if any(each.failing for each in report.results):
            report = _with_scripts(settings, report, stream, run_them=code is not None)
        else:
            shutil.rmtree(out / "repros", ignore_errors=True)  # of an earlier run
        unmatched = [] if problem else unmatched_of(report.header, report.results)
        if not problem:
            seconds = time.monotonic() - began
            footer = make_footer(
                report.results,
                seconds=seconds,
                unmatched=unmatched,
                scope=scope_of(
                    report.results, requirements_of(report.header, requirements), settings.device
                ),
                level=level_result(report.header, report.results),
            )
            ReportWriter(out / REPORT).finish(footer)
        write_junit(out / "junit.xml", report.results)
        write_html(out / "report.html", [(out, read_report(out / REPORT))], requirements)
        print_report(
            stream,
            report,
            requirements,
            problem=problem,
            unmatched=unmatched,
            folder=out,
            durations=settings.durations,
        )
        if settings.accept:
            _accept(settings, report, stream)
        if told := write_certificate(out, requirements):
            print(told, file=stream)
        print(f"report: {out / REPORT}", file=stream, flush=True)
        return exit_status(report.results, problem=problem, unmatched=len(unmatched))
    except ReportError as error:  # somebody else wrote into it meanwhile
        print(f"error: {error}", file=sys.stderr)
        return INCOMPLETE
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _with_scripts(settings: Settings, report: Report, stream: TextIO, *, run_them: bool) -> Report:
    """The report with a standalone script for each failure, some of them run."""
    from ..repros import failures

    requirements = load(settings.spec)
    scripts = failures.Scripts(
        settings.out,
        report.header,
        requirements,
        suite=settings.suite,
        spec=settings.spec,
        memory=settings.memory,
    )
    print("writing a script for each failure and running the scripts", file=stream, flush=True)
    results = failures.with_scripts(
        scripts,
        report.results,
        jobs=settings.workers,
        seconds=settings.confirm if run_them else 0.0,
        timeout=settings.timeout,
    )
    return ReportWriter(settings.out / REPORT).amend(report, results)


def _accept(settings: Settings, report: Report, stream: TextIO) -> None:
    """Write what failed into the file of expectations, for a person to say why."""
    known = settings.expectations or report.header["expectations"]
    path = Path(known) if known else own_file(report.header["subject"]["name"])
    if number := accept(path, report.results):
        print(f"{path}: {number} new entries; write a reason into each", file=stream)


def _pytest(settings: Settings, scratch: Path, stream: TextIO) -> int | None:
    """Run pytest to its end; its return code, or None if the user broke it off."""
    with (settings.out / LOG).open("wb") as log:
        child = subprocess.Popen(
            command_of(settings, scratch),
            env=environment_of(settings, scratch),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # all that a subject starts is of one group, and ends with it
        )
        known = recorded(settings.out)
        progress = Progress(settings.out / REPORT, scratch, stream, known)
        try:
            while True:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    return child.wait(timeout=0.5)
                kill_overdue(scratch, settings.timeout)
                progress.tell()
        except KeyboardInterrupt:
            return None
        finally:
            progress.clear()
            _end(child)


def _end(child: subprocess.Popen[bytes]) -> None:
    """End pytest, its workers, and what a subject has forked and left behind."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if child.poll() is None and number is signal.SIGTERM:
            child.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(timeout=10)
        else:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, number)
    child.wait()


def command_of(settings: Settings, scratch: Path) -> list[str]:
    """The pytest command line of the run."""
    command = suite_command(settings, scratch)
    command += ["-p", "xdist.plugin", "-n", str(settings.workers), "--dist", "worksteal"]
    command += ["--max-worker-restart", str(10**6)]
    command += [f"--piecewise-shard={settings.shard}", f"--piecewise-runner={os.getpid()}"]
    if settings.expectations:
        command += [f"--piecewise-expectations={settings.expectations.resolve()}"]
    command += [f"--piecewise-report={(settings.out / REPORT).resolve()}"]
    command += ["--piecewise-accept"] if settings.accept else []
    command += [f"--piecewise-command={settings.command}"]
    return [*command, "--piecewise-resume"] if settings.resume else command


def suite_command(settings: Settings, scratch: Path, script: Path | None = None) -> list[str]:
    """The pytest command line that runs the suite in one process and writes no report.

    With ``script`` it runs the tests in that file, and not those of the suite.
    """
    suite = str((settings.suite or SUITE_FOLDER).resolve())
    tests, root = (str(script), str(script.parent)) if script else (suite, suite)
    command = [sys.executable, "-m", "pytest", tests, "-c", str(_INI), "--rootdir", root]
    command += [f"--confcutdir={root}", "--import-mode=importlib", "-q", "--tb=short"]
    command += ["--assert=plain"]  # the suite has no assert: rewriting its modules is for nothing
    for plugin in _PLUGINS:
        command += ["-p", plugin]
    command += [f"--basetemp={scratch / 'tmp'}", f"--piecewise-scratch={scratch}"]
    command += [f"--piecewise-backend={settings.backend}"]
    command += [f"--piecewise-profile={each}" for each in settings.profiles]
    command += [f"--piecewise-device={settings.device}", f"--piecewise-seed={settings.seed}"]
    command += [f"--piecewise-timeout={settings.timeout}", f"--piecewise-memory={settings.memory}"]
    command += [f"--piecewise-suite={suite}"]
    command += [f"--piecewise-spec={settings.spec.resolve()}"] if settings.spec else []
    if settings.selected != Selected():
        path = scratch / "asked.json"
        path.write_text(json.dumps(settings.selected.to_header()), encoding="utf-8")
        command += [f"--piecewise-selected={path}"]
    return [*command, "-k", settings.keyword] if settings.keyword else command


def environment_of(settings: Settings, scratch: Path) -> dict[str, str]:
    """The environment of the run: caches of its own, and nothing of the user's pytest."""
    environment = dict(os.environ)
    for name in ("PYTEST_ADDOPTS", "PYTEST_PLUGINS", "PYTEST_XDIST_WORKER"):
        environment.pop(name, None)
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    environment["TORCHINDUCTOR_CACHE_DIR"] = str(scratch / "inductor")
    environment["TRITON_CACHE_DIR"] = str(scratch / "triton")
    environment["HYPOTHESIS_STORAGE_DIRECTORY"] = str(scratch / "hypothesis")
    environment.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")
    environment.setdefault(
        "OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // settings.workers))
    )
    return environment


def _never_began(settings: Settings, scratch: Path, code: int | None) -> int:
    """Say why there is no report at all."""
    log = settings.out / LOG
    if code is None or code == _INTERRUPTED:
        print("interrupted", file=sys.stderr)
        return INCOMPLETE
    text = log.read_text(encoding="utf-8", errors="replace")
    if (scratch / LOADING).exists():
        _, how = why_dead(stack_file(scratch, "load"), code)
        print(f"error: --backend {settings.backend} cannot be loaded: {how}", file=sys.stderr)
        return USAGE
    if code == _USAGE:
        said = text.partition("ERROR: ")[2].strip() or text.strip()
        print(f"error: {said}", file=sys.stderr)
        return USAGE
    tail = "\n".join(text.splitlines()[-30:])
    print(f"{tail}\nerror: the harness failed (pytest returned {code}); see {log}", file=sys.stderr)
    return INCOMPLETE


def _problem(
    settings: Settings, scratch: Path, code: int | None, have: set[tuple[str, str]]
) -> str:
    """Why the run is incomplete, or nothing if it is complete."""
    log = settings.out / LOG
    if code is None:
        return "interrupted; run with --resume to continue"
    if code not in _OK:
        return f"the harness failed (pytest returned {code}); see {log}"
    selected = scratch / SELECTED
    ids = json.loads(selected.read_text()) if selected.exists() else []
    cited = {node: each.requirement for node, each in scan(settings.suite).items()}
    wanted = {(cited[plain], case) for plain, case in map(split_node, ids)}
    if missing := len(wanted - have):
        return f"{missing} of {len(wanted)} tests gave no result; see {log}"
    return "" if have else "no test was selected"


def wrong_keyword(expression: str) -> str | None:
    """What is wrong with an expression for ``-k``, or None."""
    try:
        from _pytest.mark.expression import Expression
    except ImportError:  # not public: without it, the run itself complains, less clearly
        return None
    try:
        Expression.compile(expression)
    except Exception as error:
        return str(error) or type(error).__name__
    return None
