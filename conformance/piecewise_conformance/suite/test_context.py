"""CONTEXT: what holds for the duration of a ``with``."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from piecewise_conformance.core.boundary import expect_refusal
from piecewise_conformance.core.marks import requirement
from piecewise_conformance.core.options import Options
from piecewise_conformance.core.verdict import Unsupported, Violation
from piecewise_conformance.subject.facets import Manager
from piecewise_conformance.subject.subject import Subject
from piecewise_conformance.testkit import serialized, spy
from piecewise_conformance.testkit.caches import seed_layout
from piecewise_conformance.testkit.caches.managers import RANGE
from piecewise_conformance.testkit.caches.warm_start import expect_cold, expect_warm, start
from piecewise_conformance.testkit.cudagraphs.graph_wrapper import Counted, graphs
from piecewise_conformance.testkit.drive import drive
from piecewise_conformance.testkit.pieces import piece
from piecewise_fixtures.programs import program

Sizes = tuple[int, ...]


def _start(subject: Subject, root: Path, **changes: Any) -> spy.Log:
    """A start on ``root``, without a prefix unless ``changes`` has one."""
    return start(subject, root, sizes=(6,), **{"prefix": "", **changes})


def _expect_under(subject: Subject, root: Path, name: str, what: str, **changes: Any) -> None:
    """A start must keep its cache under ``name``: a start with that prefix finds it, and one with
    another prefix does not. ``root`` is empty.
    """
    expect_cold(_start(subject, root, **changes), f"a backend {what}, on an empty root")
    for other, expect in (("another_part", expect_cold), (name, expect_warm)):
        expect(_start(subject, root, prefix=other), f"the prefix {other!r} after a backend {what}")


@requirement("CONTEXT-001")
def test_tag_is_the_prefix(subject: Subject, tmp_path: Path) -> None:
    """The cache is that of the prefix; without one, that of the tag; without a tag, of neither."""
    expect_cold(_start(subject, tmp_path / "1"), "a backend without a tag")
    with subject.context("set_model_tag", "eagle_head"):
        expect_cold(_start(subject, tmp_path / "1"), "a tag, after a backend without one")
        _expect_under(subject, tmp_path / "2", "eagle_head", "made under the tag eagle_head")
        what = "made under a tag and given the prefix vision"
        _expect_under(subject, tmp_path / "3", "vision", what, prefix="vision")
    expect_warm(_start(subject, tmp_path / "1"), "a second backend without a tag")


@requirement("CONTEXT-002")
@pytest.mark.parametrize("outer", ["backbone", "draft"])
def test_tag_twice(subject: Subject, tmp_path: Path, outer: str) -> None:
    """The tag in force, be it the seed's default or one that was set, cannot be set again."""

    def twice() -> None:
        with (
            expect_refusal(f"the tag {outer!r} set while it is in force"),
            subject.context("set_model_tag", outer),
        ):
            pass

    if outer == "backbone":
        subject.need(seed_layout.ABILITY)  # the name of the default is the seed's
        twice()
        return
    with subject.context("set_model_tag", outer):
        twice()
        _expect_under(subject, tmp_path, outer, "made after the refusal")


class _Stop(Exception):
    pass


@requirement("CONTEXT-003")
def test_tag_is_restored(subject: Subject, tmp_path: Path) -> None:
    """Nested tags come back in order, also past an exception."""
    expect_cold(_start(subject, tmp_path / "none"), "a backend before all tags")
    with subject.context("set_model_tag", "outer"):
        with subject.context("set_model_tag", "inner", is_encoder=True):
            _expect_under(subject, tmp_path / "1", "inner", "made under two tags")
        _expect_under(subject, tmp_path / "2", "outer", "made after the inner tag")
        with pytest.raises(_Stop), subject.context("set_model_tag", "failing"):
            raise _Stop
        _expect_under(subject, tmp_path / "3", "outer", "made after an exception")
        # a tag that was left may be set again
        with subject.context("set_model_tag", "inner"):
            _expect_under(subject, tmp_path / "4", "inner", "made under a tag set again")
    expect_warm(_start(subject, tmp_path / "none"), "a backend after all tags")


def _model(subject: Subject, name: str = "linear-chain", **changes: Any) -> Callable[[int], None]:
    driven = drive(subject, program(name), **changes)
    return driven.check


@requirement("CONTEXT-004")
@pytest.mark.parametrize(
    "name", ["linear-chain", "thirteen-ops", "piece-without-symbol", "only-splitting-ops"]
)
def test_callback_once(subject: Subject, name: str) -> None:
    """One call by the time the model has run at its sizes, and no more afterwards."""
    calls: list[int] = []
    with subject.context("set_on_compilation_complete", lambda: calls.append(1)):
        check = _model(subject, name)
        for size in program(name).sizes:
            check(size)
        _expect_calls(calls, 1, "after all sizes")
        for size in program(name).sizes:
            check(size)
    _expect_calls(calls, 1, "after all sizes once more")


def _expect_calls(calls: list[int], expected: int, when: str) -> None:
    if len(calls) != expected:
        raise Violation(
            f"calls of the completion callback {when}", expected=str(expected), got=str(len(calls))
        )


@requirement("CONTEXT-004")
@pytest.mark.parametrize("name", ["linear-chain", "piece-without-symbol"])
@pytest.mark.parametrize(
    ("ends", "single", "sizes"),
    [
        *(((5,), (4,), sizes) for sizes in ((6, 4, 3), (3, 6, 4), (4, 3, 6))),
        ((5, 7), (6, 7), (3, 6, 7, 9)),  # the second range has no size that it serves
    ],
)
def test_callback_after_the_last_range(
    subject: Subject, name: str, ends: Sizes, single: Sizes, sizes: Sizes
) -> None:
    """With ranges and single sizes: once all have been met, and one call in all. A piece
    that does not know the batch has one range.

    A backend that compiles all ranges before the first batch may call at once, and then what it
    compiled must be all: nothing is compiled after the call.
    """
    calls: list[int] = []
    ranges: dict[str, Any] = {"compile_ranges_endpoints": ends, "compile_sizes": single}
    with (
        spy.spying() as log,
        subject.context("set_on_compilation_complete", lambda: calls.append(len(log.compiles))),
    ):
        check = _model(subject, name, compiler=spy.NAME, cache_root=None, **ranges)
        for size in (*sizes, *sizes):
            check(size)
    _expect_calls(calls, 1, "after every range was met")
    if calls[0] != len(log.compiles):
        raise Violation(
            "the completion callback was called before the last compile",
            expected=f"after {len(log.compiles)} compiles",
            got=f"after {calls[0]}",
        )


@requirement("CONTEXT-004")
def test_callback_for_each_backend(subject: Subject) -> None:
    """Two models under one callback are two calls."""
    calls: list[int] = []
    with subject.context("set_on_compilation_complete", lambda: calls.append(1)):
        _model(subject)(6)
        _model(subject, "two-layers")(6)
    _expect_calls(calls, 2, "for two models")


@requirement("CONTEXT-005")
def test_callback_ends_with_its_context(subject: Subject) -> None:
    """Models made afterwards call nobody, or the outer callback."""
    outer: list[int] = []
    inner: list[int] = []
    with subject.context("set_on_compilation_complete", lambda: outer.append(1)):
        with (
            pytest.raises(_Stop),
            subject.context("set_on_compilation_complete", lambda: inner.append(1)),
        ):
            raise _Stop
        _model(subject)(6)
    _expect_calls(outer, 1, "of the outer context, after the inner one was left by an exception")
    _model(subject)(6)
    _expect_calls(outer, 1, "after its context")
    _expect_calls(inner, 0, "of a context in which nothing was made")


@requirement("CONTEXT-005")
def test_inner_callback_takes_its_place(subject: Subject) -> None:
    """A backend made in the inner of two contexts calls the inner callback and not the outer."""
    outer: list[int] = []
    inner: list[int] = []
    with subject.context("set_on_compilation_complete", lambda: outer.append(1)):
        with subject.context("set_on_compilation_complete", lambda: inner.append(1)):
            _model(subject)(6)
        _expect_calls(outer, 0, "of the outer context, for a backend made in the inner one")
        _expect_calls(inner, 1, "of the inner context")
        _model(subject)(6)
    _expect_calls(outer, 1, "of the outer context, after the inner one")
    _expect_calls(inner, 1, "of the inner context, after it")


@requirement("CONTEXT-004")
def test_callback_that_fails(subject: Subject) -> None:
    """Its error comes out or not; the model runs on, and no backend calls it again."""
    calls: list[int] = []

    def callback() -> None:
        calls.append(1)
        if len(calls) == 1:
            raise _Stop

    with subject.context("set_on_compilation_complete", callback):
        driven = drive(subject, program("linear-chain"))
        with suppress(Exception):  # Dynamo may wrap it
            driven.got(driven.program.inputs(6))
        for size in (6, 4):
            driven.check(size)
    # Who compiles all at once fails in the compile, and Dynamo begins anew with another backend.
    _expect_calls(calls, driven.graphs, "that fails")


@requirement("CONTEXT-004")
def test_callback_finds_the_cache(subject: Subject, tmp_path: Path) -> None:
    """What is in the cache folder when it is called is all that a later start needs."""
    found = tmp_path / "found"

    def callback() -> None:
        shutil.copytree(tmp_path / "root", found)

    with subject.context("set_on_compilation_complete", callback):
        start(subject, tmp_path / "root")
    expect_warm(start(subject, found), "a start on the cache that the callback found")


@requirement("CONTEXT-004")
def test_callback_after_a_compile_that_failed(subject: Subject) -> None:
    """The last piece fails in one of two ranges: one call, when that one is compiled after all."""
    calls: list[int] = []

    failed: list[int] = []

    def fail(number: int) -> Any:
        if len(log.compiles) > 1:
            failed.append(number)
            raise RuntimeError("the spy was told to fail")
        return good(number)

    with (
        spy.spying() as log,
        subject.context("set_on_compilation_complete", lambda: calls.append(len(log.compiles))),
    ):
        good, log.handle = log.handle, fail
        driven = drive(
            subject,
            program("linear-chain"),
            compiler=spy.NAME,
            cache_root=None,
            compile_ranges_endpoints=(5,),
        )
        with suppress(Exception):  # Dynamo may wrap it
            driven.got(driven.program.inputs(3))
        if not failed:
            raise Unsupported("the subject compiles one piece only; the test needs two")
        _expect_calls(calls, 0, "when a compile had failed")
        log.handle = good
        for size in (6, 3, 6):
            driven.check(size)
    _expect_calls(calls, 1, "after every range was met")
    if calls[0] != len(log.compiles):
        raise Violation(
            "the completion callback was called before a failed compile was repeated",
            expected=f"after {len(log.compiles)} compiles",
            got=f"after {calls[0]}",
        )


class _IsEncoder:
    """A backend that notes what it returned."""

    def __init__(self, subject: Subject, **changes: Any) -> None:
        _, function = serialized.compiled(subject, "linear-chain", **{"prefix": "", **changes})
        if not hasattr(function, "is_encoder"):
            raise Unsupported("the function that the subject returns has no is_encoder")
        self.answer = bool(function.is_encoder)


@requirement("CONTEXT-007")
def test_encoders(subject: Subject) -> None:
    """Under the tag of an encoder, under one inside of it that is none, with a prefix of its own,
    and afterwards.
    """
    got = {"under no tag": _IsEncoder(subject).answer}
    with subject.context("set_model_tag", "vision", is_encoder=True):
        got["under an encoder's tag"] = _IsEncoder(subject).answer
        got["with a prefix of its own there"] = _IsEncoder(subject, prefix="tower").answer
        with subject.context("set_model_tag", "text"):
            got["under another tag inside"] = _IsEncoder(subject).answer
        got["after that one"] = _IsEncoder(subject).answer
    got["after all tags"] = _IsEncoder(subject).answer
    expected = dict(zip(got, (False, True, True, False, True, False), strict=True))
    if got != expected:
        raise Violation("is_encoder of the function", expected=str(expected), got=str(got))


@requirement("CONTEXT-008")
def test_forward_contexts_nest(subject: Subject, device: str) -> None:
    """Seen through a wrapper that replays where the outer context has it do so: after an inner
    one, after one left by an exception, not in an inner one that says NONE, and not afterwards.
    """
    with graphs(subject, device) as here:
        counted = Counted(lambda x: x * 2)
        wrapped = here.wrap(counted)
        x = here.tensor(4, 3)

        def runs() -> int:
            before = counted.calls
            wrapped(x)
            return counted.calls - before

        with here.batch("PIECEWISE", here.descriptor(4)):
            wrapped(x)
        got: dict[str, int] = {}
        with here.batch("PIECEWISE", here.descriptor(4)):
            with here.batch("NONE", None):
                got["in an inner context"] = runs()
            got["after it"] = runs()
            with suppress(_Stop), here.batch("NONE", None):
                raise _Stop
            got["after one that was left by an exception"] = runs()
        with suppress(_Stop), here.batch("PIECEWISE", here.descriptor(4)):
            raise _Stop
        got["after all"] = runs()
    expected = dict(zip(got, (1, 0, 0, 1), strict=True))
    if got != expected:
        raise Violation("calls of the wrapped callable", expected=str(expected), got=str(got))


def _range(subject: Subject) -> tuple[int, int] | None:
    """The range in the pass context, or None outside of one."""
    try:
        context = subject.call("get_pass_context")
    except Exception:
        return None  # outside of a compile the seed raises
    if context is None:
        return None
    compile_range = context.compile_range
    return compile_range.start, compile_range.end


@requirement("CONTEXT-006")
def test_pass_context(subject: Subject) -> None:
    """It tells the range, nests, and ends, also past an exception."""
    subject.get("get_pass_context")
    seen = [_range(subject)]
    with subject.context("pass_context", subject.range(1, 8)):
        seen.append(_range(subject))
        with subject.context("pass_context", subject.range(9, 9)):
            seen.append(_range(subject))
        seen.append(_range(subject))
        with pytest.raises(_Stop), subject.context("pass_context", subject.range(2, 3)):
            raise _Stop
        seen.append(_range(subject))
    seen.append(_range(subject))
    expected = [None, (1, 8), (9, 9), (1, 8), (1, 8), None]
    if seen != expected:
        raise Violation("the range in the pass context", expected=str(expected), got=str(seen))


@requirement("CONTEXT-006")
def test_pass_context_while_compiling(subject: Subject, tmp_path: Path) -> None:
    """The manager opens it around each compile, for the range at hand, and closes it."""
    subject.get("get_pass_context")
    case = piece(lambda g, s, x: (g.call_method("relu", (x,)),))
    seen: list[Any] = []

    def note(number: int) -> Any:
        seen.append(_range(subject))
        return ("spy", f"artifact-{number}")

    with spy.spying() as log:
        log.handle = note
        manager: Manager = subject.manager(Options(compiler=spy.NAME)).open(tmp_path)
        for index, ends in enumerate([RANGE, (9, 9), (10, 64)]):
            manager.compile(case.gm, case.traced, ends, index, 3)
            seen.append(_range(subject))
        log.fail = True
        with expect_refusal("a compile that fails", "the spy was told to fail"):
            manager.compile(case.gm, case.traced, (65, 70), 0, 1)
        seen.append(_range(subject))
    expected = [RANGE, None, (9, 9), None, (10, 64), None, None]
    if seen != expected:
        raise Violation(
            "the range in the pass context during the compile",
            expected=str(expected),
            got=str(seen),
        )
