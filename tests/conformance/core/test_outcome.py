"""From an exception to a status."""

from __future__ import annotations

import pytest
from piecewise_conformance.core.boundary import inside_subject
from piecewise_conformance.core.outcome import clip, outcome_of
from piecewise_conformance.core.verdict import NotRun, Status, Unsupported, Violation


class Wrapped(Exception):
    """An exception that hides its cause as Dynamo does."""

    def __init__(self, inner: BaseException) -> None:
        super().__init__("wrapped")
        self.inner_exception = inner


class Unprintable(Exception):
    """An exception whose text cannot be had."""

    def __str__(self) -> str:
        raise RuntimeError("no")


def caused(outer: BaseException, inner: BaseException) -> BaseException:
    """``outer`` raised from ``inner``."""
    outer.__cause__ = inner
    return outer


def handled(outer: BaseException, inner: BaseException) -> BaseException:
    """``outer`` raised while ``inner`` was being handled."""
    outer.__context__ = inner
    return outer


def subjects_own(error: BaseException) -> BaseException:
    """``error`` as the subject raised it."""
    with pytest.raises(type(error)), inside_subject("a call"):
        raise error
    return error


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Violation("v"), Status.FAIL),
        (Unsupported("u"), Status.UNSUPPORTED),
        (NotRun("n"), Status.NOT_RUN),
        (AssertionError("a"), Status.ERROR),
        (Wrapped(Unsupported("u")), Status.UNSUPPORTED),
        (caused(RuntimeError(), Violation("v")), Status.FAIL),
        (handled(KeyError(), Unsupported("u")), Status.ERROR),
        (subjects_own(ValueError("x")), Status.FAIL),
        (subjects_own(SystemExit(0)), Status.FAIL),
        (subjects_own(Unprintable()), Status.FAIL),
        (handled(RuntimeError(), subjects_own(ValueError("x"))), Status.FAIL),
        (Wrapped(subjects_own(ValueError("x"))), Status.FAIL),
        (Unprintable(), Status.ERROR),
    ],
)
def test_status(error: BaseException, status: Status) -> None:
    """Verdicts are found among causes; only the subject's exceptions are also found in contexts."""
    assert outcome_of(error).status is status


def test_chain_with_a_loop_ends() -> None:
    """Nothing keeps a subject from such exceptions."""
    one, two = RuntimeError("1"), RuntimeError("2")
    one.__cause__, two.__cause__ = two, one
    assert outcome_of(one).status is Status.ERROR


def test_texts_are_kept_in_bounds() -> None:
    """A text is cut in its middle, and can be encoded."""
    assert clip("\udc80").encode()
    assert len(clip("x" * 10**6)) < 21_000
