"""Do a part of a test in a fresh process: ``python -m piecewise_conformance.child`` (internal).

Reads one JSON object from standard input: the SPEC of the subject, the function to call as
``module:function``, and its arguments. Writes what it returns, as JSON, on the last line.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from typing import Any

from . import reach
from .outcome import outcome_of
from .subject import Subject
from .verdict import Status, Unsupported, Violation

_SECONDS = 300


def call_in_child(subject: Subject, function: str, *args: Any, **environment: str) -> Any:
    """``function`` (``module:function``) called with the subject and ``args`` in a fresh process.

    ``environment`` adds to the process's own. A child that fails is a Violation with the end of
    what it wrote: it did only what the subject was asked to do.
    """
    request = json.dumps({"spec": subject.origin, "function": function, "args": args})
    path = os.pathsep.join([p for p in sys.path if p])
    done = subprocess.run(
        [sys.executable, "-m", "piecewise_conformance.child"],
        input=request,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        env={**os.environ, "PYTHONPATH": path, **environment},
    )
    if done.returncode != 0:
        raise Violation(
            f"a fresh process failed in {function}", expected="exit 0", got=done.stderr[-1500:]
        )
    answer = json.loads(done.stdout.splitlines()[-1])
    if answer.get("verdict") == Status.UNSUPPORTED.value:
        raise Unsupported(answer["message"])
    if answer.get("verdict") == Status.FAIL.value:
        raise Violation(
            f"in a fresh process: {answer['message']}",
            expected=answer["expected"],
            got=answer["got"],
        )
    reach.add(answer["reached"])
    return answer["result"]


def main() -> None:
    """Serve one request."""
    from .loading import load_subject

    request = json.loads(sys.stdin.read())
    subject = load_subject(request["spec"])
    module, _, name = request["function"].partition(":")
    try:
        result = getattr(importlib.import_module(module), name)(subject, *request["args"])
    except Exception as error:
        # Violation and Unsupported are verdicts, here as in a test; all else ends this process.
        outcome = outcome_of(error)
        if outcome.status not in (Status.FAIL, Status.UNSUPPORTED):
            raise
        answer = {"verdict": outcome.status.value, "message": outcome.message}
        print(json.dumps({**answer, "expected": outcome.expected, "got": outcome.got}))
    else:
        print(json.dumps({"result": result, "reached": reach.take()}))


if __name__ == "__main__":
    main()
