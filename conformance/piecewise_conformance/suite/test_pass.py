"""PASS: passes over Inductor's graph."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from piecewise_conformance.core.boundary import (
    expect_refusal,
    inside_subject,
    may_refuse,
    whose,
    words_of,
)
from piecewise_conformance.core.marks import needs, requirement, slow
from piecewise_conformance.core.options import Options
from piecewise_conformance.core.verdict import Unsupported, Violation
from piecewise_conformance.subject.subject import Subject
from piecewise_conformance.testkit import spy
from piecewise_conformance.testkit.caches import warm_start
from piecewise_conformance.testkit.capture_cache import settle
from piecewise_conformance.testkit.drive import drive
from piecewise_conformance.testkit.passes import make_pass
from piecewise_fixtures.programs import program
from piecewise_fixtures.programs.base import Program
from torch import fx


class _SinForCos(torch.nn.Module):
    """Computes a cosine, but the graph that is captured of it has a sine."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        wave = torch.sin if torch.compiler.is_compiling() else torch.cos
        y = torch.ops.piecewise.scaled(wave(x) + 1)
        return wave(y) * 2


def _sin_for_cos() -> Program:
    base = program("linear-chain")
    return Program("sin-for-cos", "", _SinForCos, base.inputs, base.splitting_ops, base.sizes)


@requirement("PASS-001")
@slow
@needs("inductor")
def test_pass_runs(subject: Subject) -> None:
    """A pass that makes every sine a cosine; the model is right only if it ran on each piece."""
    subject.need("inductor")
    graphs: list[Any] = []

    def to_cosine(graph: fx.Graph) -> None:
        graphs.append(type(graph).__name__)
        for node in graph.find_nodes(op="call_function", target=torch.ops.aten.sin.default):
            node.target = torch.ops.aten.cos.default

    settings = {subject.get("pass_key"): make_pass(subject, None, to_cosine)}
    with subject.events() as trace:
        driven = drive(subject, _sin_for_cos(), compiler="inductor", compiler_config=settings)
        for size in (6, 4, 9):
            driven.check(size)
        compiles = len(trace().of("Compile"))
    if graphs != ["Graph"] * compiles:
        raise Violation(
            "the number of times the pass ran",
            expected=f"once per compile, on a Graph: {compiles}",
            got=str(graphs),
        )


@requirement("PASS-002")
def test_uuid_is_in_the_key(subject: Subject, tmp_path: Path) -> None:
    """Another uuid loads nothing, the same one in another object everything."""
    key = subject.get("pass_key")

    def start(uuid: str) -> Any:
        return warm_start.start(subject, tmp_path, compiler_config={key: make_pass(subject, uuid)})

    warm_start.expect_cold(start("one"), "a first start")
    warm_start.expect_warm(start("one"), "a start with a pass of the same uuid")
    warm_start.expect_cold(start("two"), "a start with a pass of another uuid")
    warm_start.expect_warm(start("one"), "a start with the first pass again")
    warm_start.expect_cold(warm_start.start(subject, tmp_path), "a start without a pass")


def _manager(subject: Subject, *passes: Any) -> Any:
    """A pass manager, configured, with ``passes`` added."""
    manager = subject.call("PostGradPassManager")
    config = subject.config(Options())
    with inside_subject("PostGradPassManager"):
        manager.configure(config)
        for each in passes:
            manager.add(each)
    return manager


def _uuid(subject: Subject, compile_range: tuple[int, int], *uuids: str) -> Any:
    manager = _manager(subject, *(make_pass(subject, each) for each in uuids))
    with (
        subject.context("pass_context", subject.range(*compile_range)),
        inside_subject("PostGradPassManager.uuid"),
    ):
        return manager.uuid()


@requirement("PASS-003")
def test_uuid_of_the_manager(subject: Subject) -> None:
    """Each pass, their order and the range change it; making all again does not."""
    subject.get("PostGradPassManager")
    cases = {
        "no pass": _uuid(subject, (1, 8)),
        "one pass": _uuid(subject, (1, 8), "a"),
        "another pass": _uuid(subject, (1, 8), "b"),
        "two passes": _uuid(subject, (1, 8), "a", "b"),
        "two passes in the other order": _uuid(subject, (1, 8), "b", "a"),
        "one pass twice": _uuid(subject, (1, 8), "a", "a"),
        "two passes whose names run together": _uuid(subject, (1, 8), "ab"),
        "another end of the range": _uuid(subject, (1, 9), "a"),
        "another start of the range": _uuid(subject, (2, 8), "a"),
        "a single size": _uuid(subject, (8, 8), "a"),
    }
    seen: dict[Any, str] = {}
    for what, uuid in cases.items():
        if uuid in seen:
            raise Violation(
                "two pass managers have one uuid",
                expected="a different uuid for different passes",
                got=f"{seen[uuid]}, and {what}: {uuid!r}",
            )
        seen[uuid] = what
    for what, again in (
        ("one pass", _uuid(subject, (1, 8), "a")),
        ("two passes", _uuid(subject, (1, 8), "a", "b")),
    ):
        if again != cases[what]:
            raise Violation(
                "the uuid of an equal manager", expected=repr(cases[what]), got=repr(again)
            )


@requirement("PASS-004")
def test_manager_in_the_config(subject: Subject) -> None:
    """Refused by the time the model is compiled."""
    key, manager = subject.get("pass_key"), _manager(subject)
    settle()
    try:
        drive(subject, program("linear-chain"), compiler_config={key: manager}).check(6)
    except Violation:
        raise
    except Exception as error:
        if whose(error) is None:
            raise
        if not any(word in words_of(error).lower() for word in ("manager", key.lower())):
            raise Violation(
                "a pass manager in the config was refused, but the error does not say why",
                expected=f"an error that mentions the pass manager or {key}",
                got=words_of(error)[:500],
            ) from None
        return
    raise Violation("a pass manager in the config", expected="an error", got="no error")


@requirement("PASS-005")
def test_order(subject: Subject) -> None:
    """Three passes are called in the order in which they came, on the one graph, each once."""
    subject.get("PostGradPassManager")
    calls: list[tuple[str, int]] = []

    def noting(name: str) -> Any:
        return make_pass(subject, name, lambda graph: calls.append((name, id(graph))))

    manager = _manager(subject, noting("c"), noting("a"), noting("b"))
    graph = fx.Graph()
    graph.output((graph.placeholder("x"),))
    fx.GraphModule(torch.nn.Module(), graph)
    with (
        subject.context("pass_context", subject.range(1, 8)),
        inside_subject("PostGradPassManager"),
    ):
        manager(graph)
    expected = [(name, id(graph)) for name in "cab"]
    if calls != expected:
        raise Violation("the passes that ran", expected="c, a, b on the graph", got=str(calls))


@requirement("PASS-006")
@pytest.mark.parametrize("with_pass", [False, True])
def test_settings_stay(subject: Subject, with_pass: bool) -> None:
    """The dict of settings, and what is in it, are as they were."""
    inner = {"deep": [1, 2]}
    settings: dict[str, Any] = {"epilogue_fusion": True, "nested": inner}
    if with_pass:
        settings[subject.get("pass_key")] = make_pass(subject, "one")
    before = dict(settings), copy.deepcopy(inner)
    with spy.spying() as log:
        driven = drive(
            subject, program("linear-chain"), compiler=spy.NAME, compiler_config=settings
        )
        driven.check(6)
        for call in log.compiles:  # what a compiler does to its settings is its own business
            call.config.clear()
    if (settings, inner) != before or settings["nested"] is not inner:
        raise Violation(
            "the settings that a backend was given", expected=str(before), got=str(settings)
        )


@requirement("PASS-003")
def test_uuid_of_one_manager(subject: Subject) -> None:
    """One manager, asked for one range after another, and after a pass was added."""
    manager = _manager(subject, make_pass(subject, "a"))

    def ask(end: int) -> Any:
        context = subject.context("pass_context", subject.range(1, end))
        with context, inside_subject("PostGradPassManager.uuid"):
            return manager.uuid()

    first, other = ask(8), ask(16)
    if ask(8) != first:
        raise Violation("the uuid for the same range, read a second time", expected=repr(first))
    with inside_subject("PostGradPassManager.add"):
        manager.add(make_pass(subject, "b"))
    if len({first, other, ask(8)}) != 3:
        raise Violation(
            "uuids of one manager for a range, for another one, and with one more pass",
            expected="three",
            got=str([first, other, ask(8)]),
        )


@requirement("PASS-003")
def test_settings_are_in_the_uuid(subject: Subject) -> None:
    """Each switch of the pass config changes the uuid of a manager that was configured with it."""
    config = subject.config(Options())
    settings = getattr(getattr(config, "compilation_config", config), "pass_config", None)
    names = [name for name in dir(settings) if isinstance(getattr(settings, name, None), bool)]
    if not names:
        raise Unsupported("the subject's config has no pass_config with switches")

    def uuid() -> Any:
        manager = subject.call("PostGradPassManager")
        with (
            subject.context("pass_context", subject.range(1, 8)),
            inside_subject("PostGradPassManager"),
        ):
            manager.configure(config)
            return manager.uuid()

    before, seen = uuid(), 0
    for name in names:
        value = getattr(settings, name)
        try:
            setattr(settings, name, not value)
            after = uuid()
        except Exception:
            continue  # a switch that this machine, or the class, does not have
        finally:
            with suppress(Exception):
                setattr(settings, name, value)
        seen += 1
        if after == before:
            raise Violation(f"the uuid with pass_config.{name} inverted", expected="another")
    if not seen:
        raise Unsupported("no switch of the subject's pass_config can be changed here")


@requirement("PASS-001")
def test_every_compile_is_given_the_pass(subject: Subject) -> None:
    """What the compiler has at its hook runs the user's pass once, for each piece and range."""
    key, calls = subject.get("pass_key"), []
    settings = {key: make_pass(subject, "mine", lambda graph: calls.append(graph))}
    with spy.spying() as log:
        driven = drive(
            subject,
            program("two-layers"),
            compiler=spy.NAME,
            compiler_config=settings,
            compile_ranges_endpoints=(5,),
            compile_sizes=(4,),
        )
        for size in (6, 4, 3):
            driven.check(size)
    graph = fx.Graph()
    graph.output((graph.placeholder("x"),))
    fx.GraphModule(torch.nn.Module(), graph)
    for number, call in enumerate(log.compiles, start=1):
        hook = call.config.get(key)
        with (
            subject.context("pass_context", subject.range(*call.range)),
            inside_subject("the pass at the compiler's hook"),
        ):
            if hook is not None:
                hook(graph)
        if len(calls) != number:
            raise Violation(
                f"runs of the pass by compile {number}, for {call.range}",
                expected="one",
                got=str(len(calls) - number + 1),
            )


def _captures(number: int) -> Any:
    return lambda graph: number


def _has_default(number: int) -> Any:
    return lambda graph, by=number: by


def _has_keyword_default(number: int) -> Any:
    return lambda graph, *, by=number: by


@requirement("PASS-010")
@pytest.mark.parametrize(
    "made", [_captures, _has_default, _has_keyword_default], ids=["closure", "default", "keyword"]
)
def test_functions_that_captured_other_values(
    subject: Subject, tmp_path: Path, made: Callable[[int], Any]
) -> None:
    """A plain function at the hook, where it is taken: its source does not tell what it does."""
    key = subject.get("pass_key")

    def start(number: int) -> spy.Log | None:
        log = None
        with may_refuse(True):
            log = warm_start.start(subject, tmp_path, compiler_config={key: made(number)})
        return log

    first, second = start(1), start(2)
    if first is not None and second is not None:
        warm_start.expect_cold(second, "a start with a function that captured another value")


@requirement("PASS-007")
def test_error_of_a_pass(subject: Subject) -> None:
    """It comes out of the manager, and no later pass runs."""
    calls: list[str] = []

    def failing(graph: fx.Graph) -> None:
        raise LookupError("in a pass")

    later = make_pass(subject, "later", lambda graph: calls.append("later"))
    manager = _manager(subject, make_pass(subject, "failing", failing), later)
    graph = fx.Graph()
    graph.output((graph.placeholder("x"),))
    fx.GraphModule(torch.nn.Module(), graph)
    with (
        expect_refusal("a graph on which a pass fails", "in a pass"),
        subject.context("pass_context", subject.range(1, 8)),
        inside_subject("PostGradPassManager"),
    ):
        manager(graph)
    if calls:
        raise Violation("passes that ran after one that failed", expected="none", got=str(calls))


@requirement("PASS-008")
@pytest.mark.parametrize("thing", [7, "a_pass", None], ids=["number", "text", "none"])
def test_what_is_no_pass(subject: Subject, thing: Any) -> None:
    """Added to the manager it is refused."""
    with expect_refusal(f"{thing!r} as a pass"):
        _manager(subject, thing)


@requirement("PASS-008")
@pytest.mark.parametrize("thing", [7, "a_pass"], ids=["number", "text"])
def test_what_is_no_pass_at_the_hook(subject: Subject, thing: Any) -> None:
    """At the hook it is refused by the time the model is compiled."""
    settle()
    with expect_refusal(f"{thing!r} as a pass"), spy.spying():
        drive(
            subject,
            program("linear-chain"),
            compiler=spy.NAME,
            compiler_config={subject.get("pass_key"): thing},
        ).check(6)
