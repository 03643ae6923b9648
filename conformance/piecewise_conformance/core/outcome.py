"""From what a test raised to the status of its result."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .boundary import raised_inside, whose
from .tracebacks import traceback_of
from .verdict import NotRun, Status, Unsupported, Violation

_LIMIT = 20_000  # characters of one text: a report is to be read


@dataclass(frozen=True)
class Outcome:
    """The status of a test, and what there is to say about it."""

    status: Status
    message: str = ""
    expected: str = ""
    got: str = ""
    program: str = ""


PASSED = Outcome(Status.PASS)


def outcome_of(error: BaseException) -> Outcome:
    """What it means that a test raised ``error``.

    Dynamo wraps what a backend raises, so verdicts are looked for among the causes as well. They
    are not looked for in what was merely being handled: a fault of ours in an ``except
    Unsupported`` is no ``unsupported``.
    """
    for each in _causes(error):
        if isinstance(each, Violation):
            return Outcome(
                Status.FAIL,
                clip(each.message),
                clip(each.expected),
                clip(each.got),
                clip(each.program),
            )
        if isinstance(each, Unsupported):
            return Outcome(Status.UNSUPPORTED, clip(describe(each, bare=True)))
        if isinstance(each, NotRun):
            return Outcome(Status.NOT_RUN, clip(describe(each, bare=True)))
    if (raiser := raised_inside(error)) is not None:
        message = f"the subject raised {describe(raiser)}, in {whose(raiser)}"
        return Outcome(Status.FAIL, clip(message), "no exception", clip(traceback_of(raiser)))
    return Outcome(Status.ERROR, clip(f"{describe(error)}\n\n{traceback_of(error)}"))


def _causes(error: BaseException) -> Iterator[BaseException]:
    """``error`` and what it was raised from, said by ``from`` or in Dynamo's own way."""
    seen: set[int] = set()
    current: object = error
    while isinstance(current, BaseException) and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or getattr(current, "inner_exception", None)


def describe(error: BaseException, *, bare: bool = False) -> str:
    """Type and text of ``error``; also of one whose ``__str__`` raises."""
    try:
        text = str(error)
    except Exception:
        text = "(converting the error to text failed)"
    if bare and text:
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def clip(text: object) -> str:
    """``text`` as a string that can be stored anywhere, cut in the middle if it is long."""
    try:
        whole = text if isinstance(text, str) else str(text)
    except Exception:
        whole = f"(the text of a {type(text).__name__} cannot be had)"
    whole = whole.encode("utf-8", "backslashreplace").decode("utf-8")
    if len(whole) <= _LIMIT:
        return whole
    half = _LIMIT // 2
    return f"{whole[:half]}\n... {len(whole) - _LIMIT} characters omitted ...\n{whole[-half:]}"
