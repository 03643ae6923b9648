"""Do a part of a test in a fresh process.

What is asked, and answered, is one JSON object: the SPEC of the subject, the function to call as
``module:function``, and its arguments; what it returns. A process with an environment of its own
is started as ``python -m piecewise_conformance.isolation.child`` (internal), since Python and
torch read theirs when they start; others come from the fork server.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import traceback
from multiprocessing.connection import Connection
from typing import Any

from ..core import coverage
from ..core.outcome import outcome_of
from ..core.verdict import Status, Unsupported, Violation
from ..subject.subject import Subject
from .fork_server import Fresh

_SECONDS = 300


def call_in_child(subject: Subject, function: str, *args: Any, **environment: str) -> Any:
    """``function`` (``module:function``) called with the subject and ``args`` in a fresh process.

    ``environment`` adds to the process's own. A child that fails is a Violation with the end of
    what it wrote: it did only what the subject was asked to do.
    """
    request = json.dumps({"spec": subject.origin, "function": function, "args": args})
    told, printed = _started_anew(request, environment) if environment else _forked(request)
    if told is None:
        raise Violation(
            f"a fresh process failed in {function}", expected="a result", got=printed[-1500:]
        )
    answer = json.loads(told)
    if answer.get("verdict") == Status.UNSUPPORTED.value:
        raise Unsupported(answer["message"])
    if answer.get("verdict") == Status.FAIL.value:
        raise Violation(
            f"in a fresh process: {answer['message']}",
            expected=answer["expected"],
            got=answer["got"],
        )
    coverage.add(answer["reached"])
    return answer["result"]


def _forked(request: str) -> tuple[str | None, str]:
    """The answer, or None if there is none, and what was printed."""
    process = Fresh("piecewise_conformance.isolation.child:serve", request)
    try:
        return process.receive(_SECONDS), ""
    except (EOFError, TimeoutError) as error:
        return None, process.printed() or str(error)
    finally:
        process.end()


def _started_anew(request: str, environment: dict[str, str]) -> tuple[str | None, str]:
    """The same, of a process with an environment of its own."""
    path = os.pathsep.join([p for p in sys.path if p])
    done = subprocess.run(
        [sys.executable, "-m", "piecewise_conformance.isolation.child"],
        input=request,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        env={**os.environ, "PYTHONPATH": path, **environment},
    )
    return (done.stdout.splitlines()[-1] if done.returncode == 0 else None), done.stderr


def serve(connection: Connection, request: str) -> None:
    """In a process off the fork server: one request."""
    try:
        connection.send(answer_to(request))
    except Exception:
        traceback.print_exc()
        sys.stderr.flush()
    connection.close()


def answer_to(request: str) -> str:
    """Do what ``request`` asks for."""
    from ..subject.loading import load_subject

    asked = json.loads(request)
    subject = load_subject(asked["spec"])
    module, _, name = asked["function"].partition(":")
    try:
        result = getattr(importlib.import_module(module), name)(subject, *asked["args"])
    except Exception as error:
        # Violation and Unsupported are verdicts, here as in a test; all else ends this process.
        outcome = outcome_of(error)
        if outcome.status not in (Status.FAIL, Status.UNSUPPORTED):
            raise
        answer = {"verdict": outcome.status.value, "message": outcome.message}
        return json.dumps({**answer, "expected": outcome.expected, "got": outcome.got})
    return json.dumps({"result": result, "reached": coverage.take()})


if __name__ == "__main__":
    print(answer_to(sys.stdin.read()))
