"""A few trivial calls before the suite, which tell whether adapter or subject does not work.

They are made in a fork of the process that loaded the subject, so that one that dies or hangs costs
no more than a word about it. What is found is said before the suite starts and stands in the
report; no verdict depends on it.
"""

from __future__ import annotations

import contextlib
import inspect
import json
import os
import signal
import sysconfig
import tempfile
import time
import traceback
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.boundary import chain, raised_inside
from ..core.outcome import describe, outcome_of
from ..core.suite_scan import SUITE_FOLDER
from ..core.verdict import Status, Violation
from ..isolation.watchdog import how_ended

if TYPE_CHECKING:
    from ..subject.subject import Subject

SECONDS = 60.0  # for all calls together

_HARNESS = Path(__file__).parents[1]
_SHIPPED = _HARNESS / "subject" / "adapters"
# Who calls these rightly is not told of an error by them: they are no part of a subject.
_LIBRARIES = ("torch", "pydantic")


def before(subject: Subject, suite: Path | None, seconds: float) -> list[str]:
    """What :func:`probe` says; nothing where another suite is run, which asks for other things."""
    return probe(subject, min(SECONDS, seconds)) if suite in (None, SUITE_FOLDER.resolve()) else []


def probe(subject: Subject, seconds: float = SECONDS) -> list[str]:
    """What does not work, in words: a line for each facet, and whose fault it is."""
    with tempfile.TemporaryDirectory(prefix="piecewise-probe-") as folder:
        told = Path(folder, "told")
        child = os.fork()
        if child == 0:
            with contextlib.suppress(BaseException):
                _ask_all(subject, told)
            os._exit(0)
        ended = _end_of(child, seconds)
        lines = told.read_text(encoding="utf-8").splitlines() if told.exists() else []
    # facet -> what came of it; "" where it works, None where it declined
    found: dict[str, str | None] = {}
    for line in lines:
        facet, words = json.loads(line)
        found[facet] = _stopped_at(facet, ended, seconds) if words is _BEGUN else words
    tried = [words for words in found.values() if words is not None]
    words = [each for each in tried if each]
    if words and len(words) == len(tried):
        words.append(f"nothing works: {len(tried)} of {len(tried)} calls failed")
    return words


_BEGUN = False


def _stopped_at(facet: str, ended: str | None, seconds: float) -> str:
    if ended is None:
        return f"{facet}: no answer within {seconds:g} seconds; it hangs, or the machine is busy"
    return f"the subject is at fault: {facet}: {ended}"


def _end_of(child: int, seconds: float) -> str | None:
    """Wait for the process; how it ended, or None if it did not and was killed."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return how_ended(os.waitstatus_to_exitcode(status))
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def _ask_all(subject: Subject, told: Path) -> None:
    """Make the calls; tell of each before and after."""
    with told.open("w", encoding="utf-8") as file:
        for facet, call in _CALLS.items():
            print(json.dumps((facet, _BEGUN)), file=file, flush=True)
            words: str | None = ""
            try:
                call(subject)
            except BaseException as error:
                words = words_for(error, facet, subject)
            print(json.dumps((facet, words)), file=file, flush=True)


# -- the calls ------------------------------------------------------------------------------------


def _split_graph(subject: Subject) -> None:
    from ..testkit.splits import check_equal, graph_for

    graph = graph_for(subject, "linear-chain")
    split = subject.split(graph.fresh(), graph.splitting_ops)
    check_equal(split.gm, graph, list(graph.args)[:1])


def _range(subject: Subject) -> None:
    subject.range(1, 4)


def _manager(subject: Subject) -> None:
    subject.get("CompilerManager")
    with tempfile.TemporaryDirectory() as folder:
        subject.manager(_options(subject)).open(folder).save()


def _compiler(subject: Subject) -> None:
    subject.get("make_compiler")
    subject.compiler(_options(subject))


def _copy_and_call(subject: Subject) -> None:
    import torch

    subject.copy_and_call([0], [torch.zeros(4)], lambda x: (x + 1,))(torch.ones(2))


def _backend(subject: Subject) -> None:
    from piecewise_fixtures.programs import program

    from ..testkit.drive import drive

    chosen = program("linear-chain")
    drive(subject, chosen).check(chosen.sizes[0])


def _events(subject: Subject) -> None:
    with subject.events() as trace:
        trace()


def _forward_context(subject: Subject) -> None:
    descriptor = subject.call("BatchDescriptor", num_tokens=4)
    mode = subject.get("CUDAGraphMode")["NONE"]
    told = {"batch_descriptor": descriptor, "cudagraph_runtime_mode": mode}
    with subject.context("set_forward_context", None, **told):
        pass


def _model_tag(subject: Subject) -> None:
    with subject.context("set_model_tag", "probe"):
        pass


_CALLS: dict[str, Callable[[Subject], None]] = {
    "split_graph": _split_graph,
    "Range": _range,
    "CompilerManager": _manager,
    "make_compiler": _compiler,
    "make_copy_and_call": _copy_and_call,
    "make_backend": _backend,
    "record_events": _events,
    "set_forward_context": _forward_context,
    "set_model_tag": _model_tag,
}


def _options(subject: Subject) -> Any:
    from ..core.options import Options

    return Options(compiler="eager" if subject.can("eager") else "own")


# -- whose fault it is ----------------------------------------------------------------------------


def words_for(error: BaseException, facet: str, subject: Subject) -> str | None:
    """The sentence about one facet that does not work; None if it is not offered."""
    outcome = outcome_of(error)
    if outcome.status in (Status.UNSUPPORTED, Status.NOT_RUN):
        return None
    violation = next((each for each in chain(error) if isinstance(each, Violation)), None)
    found = violation or raised_inside(error) or error
    while isinstance(inner := getattr(found, "inner_exception", None), BaseException):
        found = inner  # Dynamo's words around it are about Dynamo
    said = found.message if isinstance(found, Violation) else describe(found)
    said = " ".join(said.split())[:500]
    whose, where = _whose(found, facet, subject)
    return f"the {whose} is at fault: {facet}: {said}" + (f" ({where})" if where else "")


def _whose(error: BaseException, facet: str, subject: Subject) -> tuple[str, str]:
    """``adapter`` or ``subject``, and where.

    By the innermost frame that is neither the harness's nor a library's. Without one the call
    itself was refused or its answer has another form: what an adapter hands on is its own affair.
    What answers in the right form and is wrong is the subject's.
    """
    frames = traceback.extract_tb(error.__traceback__)
    if isinstance(error, Violation) and any(f.filename.endswith("oracle.py") for f in frames):
        return "subject", ""
    for frame in reversed(frames):
        where = f"{frame.filename}:{frame.lineno}"
        if _is_adapters(frame.filename, subject):
            return "adapter", where
        if not _is_neutral(frame.filename):
            return "subject", where
    return "adapter", _defined_at(subject.surface.get(facet)) or subject.adapter


def _is_adapters(filename: str, subject: Subject) -> bool:
    return filename == subject.adapter or Path(filename).parent == _SHIPPED


def _is_neutral(filename: str) -> bool:
    if filename.startswith("<"):  # "<eval_with_key>.3" is a graph of the subject's
        return filename.startswith(("<frozen", "<string>"))
    return any(Path(filename).is_relative_to(each) for each in _neutral_folders())


@cache
def _neutral_folders() -> list[Path]:
    import piecewise_fixtures

    packages = {Path(sysconfig.get_path(name)) for name in ("purelib", "platlib")}
    standard = {Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib")}
    return [
        _HARNESS,
        Path(piecewise_fixtures.__file__).parent,
        *(folder / name for folder in packages for name in _LIBRARIES),
        # the packages may lie inside of the standard library's folder
        *(each for folder in standard for each in folder.iterdir() if each not in packages),
    ]


def _defined_at(function: Any) -> str:
    """File and line of a function or class, where they can be had."""
    try:
        plain = inspect.unwrap(function)
        return f"{inspect.getsourcefile(plain)}:{inspect.getsourcelines(plain)[1]}"
    except (TypeError, OSError, ValueError):
        return ""
