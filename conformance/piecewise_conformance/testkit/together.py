"""Calls that several threads make at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from ..core.verdict import Violation

_LONG = 240.0  # seconds after which threads no longer wait for each other

T = TypeVar("T")


def together(calls: Sequence[Callable[[], T]], what: str) -> list[T]:
    """The results of ``calls``, each made by a thread that starts when all are ready.

    Raises the first exception that came, and Violation, which names ``what`` was called, if a
    thread does not return. Give it calls that begin at once, not loops of calls: torch refuses a
    call that begins while another thread traces, whatever the backend.
    """
    start = threading.Barrier(len(calls))
    errors: list[BaseException] = []
    results: dict[int, Any] = {}

    def run(number: int) -> None:
        try:
            start.wait(_LONG)
            results[number] = calls[number]()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(n,), daemon=True) for n in range(len(calls))]
    for each in threads:
        each.start()
    for each in threads:
        each.join(_LONG)
    if errors:
        raise errors[0]
    if any(each.is_alive() for each in threads):
        raise Violation(what, expected="results", got="they hang")
    return [results[number] for number in range(len(calls))]
