"""What runs in a script: one case of one test, judged as in a run."""

from __future__ import annotations

import faulthandler
import inspect
import os
import random
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..core import environment
from ..core.outcome import PASSED, Outcome, outcome_of
from ..core.verdict import NotRun, Status
from ..isolation.isolation import Isolation
from ..subject.loading import LoadError, load_subject
from ..subject.subject import Subject
from . import stand_in

FAILED, HELD, NO_VERDICT = 1, 0, 3
SAYS = "verdict: "  # begins the line from which a verdict is read


def main(
    test: Callable[..., Any],
    case: str = "",
    *,
    backend: str,
    seed: int = 0,
    device: str = "cpu",
    memory: int = 0,
) -> int:
    """Judge ``case``, the text in brackets, of ``test``; the exit status of the script."""
    os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")
    faulthandler.enable()
    settled = Isolation(memory)
    try:
        subject = load_subject(backend)
    except LoadError as error:
        print(f"{SAYS}not-run: {error}", flush=True)
        return NO_VERDICT
    with tempfile.TemporaryDirectory(
        prefix="piecewise-test-", ignore_cleanup_errors=True
    ) as folder:
        for name in ("TORCHINDUCTOR", "TRITON"):
            os.environ[f"{name}_CACHE_DIR"] = str(Path(folder, name.lower()))
        try:
            _run(test, case, subject, seed, device, Path(folder))
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            settled.end_if_forked()
            if settled.out_of_memory(error):
                error = MemoryError(f"it asked for more memory than {memory} MiB")
                return tell(Outcome(Status.CRASH, str(error)))
            return tell(outcome_of(error))
        settled.end_if_forked()
        return tell(PASSED)


def tell(outcome: Outcome) -> int:
    """Print ``outcome``, and give the exit status that says the same."""
    if outcome.expected or outcome.got:
        print(f"expected  {outcome.expected}\ngot       {outcome.got}")
    print(f"{SAYS}{outcome.status.value}: {outcome.message}", flush=True)
    if outcome.status in (Status.FAIL, Status.CRASH):
        return FAILED
    return HELD if outcome.status is Status.PASS else NO_VERDICT


def _run(
    test: Callable[..., Any], case: str, subject: Subject, seed: int, device: str, folder: Path
) -> None:
    known = {id: (found, marks) for id, found, marks in stand_in.cases(test)}
    if case not in known:
        raise NotRun(f"the test has no case {case!r}; it has {', '.join(known)}")
    arguments, marks = known[case]
    needs = [name for each in marks if each.name == "needs" for name in each.args]
    for name in ["gpu", *needs] if device == "cuda" else needs:
        if reason := environment.missing(name):
            raise NotRun(reason)
    random.seed(seed)
    if torch := sys.modules.get("torch"):
        torch.manual_seed(seed)
    undo = []
    try:
        for name in inspect.signature(test).parameters:
            if name in arguments:
                continue
            arguments[name] = made = _fixture(name, subject, device, folder)
            undo += [made.undo] if hasattr(made, "undo") else []
        test(**arguments)
    finally:
        for each in reversed(undo):
            each()


def _fixture(name: str, subject: Subject, device: str, folder: Path) -> Any:
    if name == "tmp_path":
        made = folder / "tmp"
        made.mkdir()
        return made
    known: dict[str, Callable[[], Any]] = {
        "subject": lambda: subject,
        "device": lambda: device,
        "monkeypatch": stand_in.MonkeyPatch,
        "caplog": stand_in.LogCaptureFixture,
        "capfd": stand_in.CaptureFixture,
    }
    if name not in known:
        raise NotRun(f"the test asks for {name!r}, which a script has not")
    return known[name]()
