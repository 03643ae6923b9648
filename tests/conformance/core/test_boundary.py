"""Whose exception it is."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest
from piecewise_conformance.core.boundary import (
    crossing,
    expect_refusal,
    inside_subject,
    is_named,
    may_refuse,
    whose,
)
from piecewise_conformance.core.verdict import NotRun, Unsupported, Violation

VERDICTS = [Violation("v"), Unsupported("u"), NotRun("n"), KeyboardInterrupt()]


def raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
    """``error`` as it arrives after the subject raised it."""
    with pytest.raises(type(error)) as caught, inside_subject("a song"):
        raise error from cause
    assert caught.value is error
    return error


@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(0), AssertionError()])
def test_the_subjects_exception(error: BaseException) -> None:
    """Any exception that leaves the subject is its own, with what it was asked to do."""
    assert whose(raised(error)) == "a song"


def test_an_exception_of_ours() -> None:
    """One that was never inside is nobody's."""
    assert whose(ValueError("x")) is None


@pytest.mark.parametrize("verdict", VERDICTS, ids=lambda each: type(each).__name__)
def test_verdicts_pass_unmarked(verdict: BaseException) -> None:
    """A verdict that a helper reaches inside the boundary is not an exception of the subject."""
    assert whose(raised(verdict)) is None


def test_the_outermost_boundary_is_told() -> None:
    """Where boundaries nest, the one that a reader knows: the last that was crossed."""
    error = ValueError("x")
    with pytest.raises(ValueError, match="x"), inside_subject("outer"), inside_subject("inner"):
        raise error
    assert whose(error) == "outer"


@pytest.mark.parametrize("attribute", ["__cause__", "__context__", "inner_exception"])
def test_the_whole_chain_counts(attribute: str) -> None:
    """Dynamo wraps what a backend raises, in several ways."""
    middle, outer = RuntimeError("middle"), RuntimeError("outer")
    setattr(middle, attribute, raised(ValueError("x")))
    setattr(outer, attribute, middle)
    assert whose(outer) == "a song"


def test_a_chain_with_a_loop_ends() -> None:
    """Nothing keeps a subject from such exceptions."""
    one, two = RuntimeError("1"), RuntimeError("2")
    one.__cause__, two.__context__ = two, one
    assert whose(one) is None


def test_crossing() -> None:
    """Every call of a wrapped callable is inside; its results come through."""

    def sing(words: str, *, loud: bool = False) -> str:
        if loud:
            raise ValueError("hoarse")
        return words

    wrapped = crossing("a song", sing)
    assert wrapped("la") == "la"
    for _ in range(2):
        with pytest.raises(ValueError, match="hoarse") as caught:
            wrapped("la", loud=True)
        assert whose(caught.value) == "a song"


def test_a_refusal_that_tells_why() -> None:
    """An error that has all the words is what was asked for; its type counts as text."""
    with expect_refusal("a size of 0", "ValueError", "size", "0"):
        raise ValueError("the size must be positive, not 0")
    with expect_refusal("anything"):
        raise SystemExit("no")


def test_a_refusal_whose_cause_tells_why() -> None:
    """A backend may say which piece it was, and leave the rest to the error that it had."""
    with expect_refusal("a compile", "no registers"):
        try:
            raise ValueError("no registers are left")
        except ValueError as error:
            raise RuntimeError("piece 3 cannot be compiled") from error


@pytest.mark.parametrize("text", ["the size is wrong", "", "  "])
def test_a_refusal_that_does_not_tell_why(text: str) -> None:
    """The violation says what was to be named, and what was said instead."""
    with (
        pytest.raises(Violation, match="a size of 0 was refused, but") as caught,
        expect_refusal("a size of 0", "positive"),
    ):
        raise ValueError(text)
    assert "positive" in caught.value.expected
    assert text in caught.value.got


def test_a_refusal_in_silence() -> None:
    """Even where no word is asked for, an error must have a text."""
    with pytest.raises(Violation), expect_refusal("it"):
        raise ValueError


def test_what_is_accepted_was_not_refused() -> None:
    """No exception is a violation."""
    with pytest.raises(Violation, match="a size of 0 was accepted"), expect_refusal("a size of 0"):
        pass


def test_what_may_be_refused() -> None:
    """The subject's error with a text is a refusal; one of ours, or one in silence, is not."""
    with may_refuse(True), inside_subject("a song"):
        raise ValueError("sing lower")
    with pytest.raises(ValueError, match="ours"), may_refuse(True):
        raise ValueError("ours")
    with pytest.raises(Violation, match="without a message"), may_refuse(True):
        raise raised(ValueError())
    with pytest.raises(ValueError, match="sing"), may_refuse(False):
        raise raised(ValueError("sing lower"))


def test_a_slip_is_no_refusal() -> None:
    """A name or an attribute that is not there, also inside of Dynamo's error; a frozen object's
    error means what it says.
    """
    for slip in (AttributeError("no attribute 'x'"), NameError("no name 'x'")):
        with pytest.raises(type(slip)), may_refuse(True):
            raise raised(slip)
        wrapped = RuntimeError("backend raised")
        wrapped.inner_exception = slip  # type: ignore[attr-defined]
        with pytest.raises(RuntimeError), may_refuse(True):
            raise raised(wrapped)
    with may_refuse(True):
        raise raised(FrozenInstanceError("cannot assign to field 'x'"))


@pytest.mark.parametrize("verdict", VERDICTS, ids=lambda each: type(each).__name__)
def test_verdicts_are_no_refusals(verdict: BaseException) -> None:
    """They come through as they are, even if they happen to have the words."""
    with pytest.raises(type(verdict)) as caught, expect_refusal("it", type(verdict).__name__):
        raise verdict
    assert caught.value is verdict


@pytest.mark.parametrize(
    ("what", "told", "is_so"),
    [
        ("4", "endpoints (8, 4) do not ascend", True),
        ("4", "the endpoint is 4.", True),
        ("-16", "endpoint=-16, at least 1", True),
        ("4", "wrapper.py:42: done in 0.4 s, 4.2 s, of v4", False),
        ("-3", "11-30 10:00:00", False),
        ("65", "[backends.py:1065]", False),
        ("sizes", "compile_sizes=[0]", True),
        ("sizes", "something else", False),
    ],
)
def test_what_is_named(what: str, told: str, is_so: bool) -> None:
    """A number is named only by itself, a word wherever it is."""
    assert is_named(what, told) is is_so
