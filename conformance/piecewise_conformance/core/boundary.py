"""Where the harness ends and the subject begins.

An exception that passes this boundary is the subject's; one that does not is the harness's own
fault. Without the distinction a bug of ours would be somebody's failed requirement, or theirs
would be our error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

from .verdict import NotRun, Unsupported, Violation


@contextmanager
def inside_subject(what: str) -> Iterator[None]:
    """Mark exceptions raised inside as the subject's; ``what`` says what it was asked to do."""
    try:
        yield
    except (Violation, Unsupported, NotRun, KeyboardInterrupt):
        raise
    except BaseException as error:
        error.from_subject = what  # type: ignore[attr-defined]  # read by the plugin
        raise


def crossing(what: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """``function`` with every call of it inside the boundary."""

    @wraps(function, updated=())
    def call(*args: Any, **kwargs: Any) -> Any:
        with inside_subject(what):
            return function(*args, **kwargs)

    return call


def whose(error: BaseException) -> str | None:
    """What the subject was asked to do when it raised ``error``; None if it is not the subject's.

    Dynamo wraps what a backend raises, so that the whole chain of exceptions counts.
    """
    raiser = raised_inside(error)
    return None if raiser is None else str(raiser.from_subject)  # type: ignore[attr-defined]


def raised_inside(error: BaseException) -> BaseException | None:
    """The outermost exception in the chain of ``error`` that the subject raised, or None."""
    return next((each for each in chain(error) if getattr(each, "from_subject", None)), None)


def chain(error: BaseException) -> Iterator[BaseException]:
    """``error``, what it was raised from, what was being handled, and what Dynamo says it wraps."""
    pending: list[object] = [error]
    seen: set[int] = set()
    while pending:
        each = pending.pop(0)
        if isinstance(each, BaseException) and id(each) not in seen:
            seen.add(id(each))
            yield each
            pending += [each.__cause__, each.__context__, getattr(each, "inner_exception", None)]


def words_of(error: BaseException) -> str:
    """All that ``error`` says: its own text, and what the errors say that it was raised from.

    A backend may put an error of its own, which tells the piece, around that of its compiler.
    """
    return "\n".join(f"{type(each).__name__}: {each}" for each in chain(error))


def is_named(what: str, told: str) -> bool:
    """Whether ``told`` has ``what`` in it: a number by itself, for times and lines have digits."""
    if not what.lstrip("-").isdigit():
        return what in told
    return re.search(rf"(?<![\w.]){what}(?![\w.]*\w)", told) is not None


@contextmanager
def expect_refusal(what: str, *mentions: str) -> Iterator[None]:
    """The subject must refuse what is done inside: an exception that says something.

    ``mentions`` are in what it says, or in what it was raised from.
    """
    try:
        yield
    except (Violation, Unsupported, NotRun, KeyboardInterrupt):
        raise
    except BaseException as error:
        text = words_of(error)
        missing = [word for word in mentions if word not in text]
        if missing or not str(error).strip():
            raise Violation(
                f"{what} was refused, but the error does not say why",
                expected=f"an error that contains {', '.join(mentions) or 'the reason'}",
                got=text[:500],
            ) from None
    else:
        raise Violation(f"{what} was accepted", expected="a clear error", got="no error")


_SLIPS = (AttributeError, NameError, UnboundLocalError)  # and no subclass: one has its meaning


@contextmanager
def may_refuse(allowed: bool) -> Iterator[None]:
    """If ``allowed``, the subject may refuse what is done inside with an error that says why.

    A name or an attribute that does not exist is a slip in the code of the subject, not a refusal.
    """
    try:
        yield
    except (Violation, Unsupported, NotRun, KeyboardInterrupt):
        raise
    except BaseException as error:
        if not allowed or whose(error) is None:
            raise
        if not str(error).strip():
            raise Violation(
                "a call was refused with an error without a message", got=repr(error)
            ) from None
        # Dynamo raises an error of its own with that of the backend in it
        if type(getattr(error, "inner_exception", error)) in _SLIPS:
            raise
