"""BACKEND, HASH, PASS: the compiler's settings, which it may change and which may hold anything."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from piecewise_conformance.core.boundary import inside_subject, may_refuse
from piecewise_conformance.core.marks import requirement
from piecewise_conformance.core.options import Options
from piecewise_conformance.core.verdict import Violation
from piecewise_conformance.subject.subject import Subject
from piecewise_conformance.testkit import spy
from piecewise_conformance.testkit.caches import warm_start
from piecewise_conformance.testkit.caches.edited_source import module_of
from piecewise_conformance.testkit.drive import drive
from piecewise_conformance.testkit.passes import make_pass
from piecewise_fixtures.programs import program
from torch import fx

_SETTINGS: dict[str, Any] = {"taken": 1, "max_autotune": True}


def _start_that_takes(subject: Subject, root: Path | None) -> spy.Log:
    """A start whose compiler takes a setting out of what it is given."""
    chosen = program("two-layers")
    with spy.spying() as log:
        log.takes = "taken"
        driven = drive(
            subject,
            chosen,
            compiler=spy.NAME,
            compiler_config=dict(_SETTINGS),
            cache_root=None if root is None else str(root),
        )
        for size in chosen.sizes:
            driven.check(size)
    return log


@requirement("BACKEND-008")
def test_a_setting_that_is_taken(subject: Subject) -> None:
    """What a compiler takes out of its settings for one piece is there for the next."""
    for call in _start_that_takes(subject, None).compiles:
        given = {name: call.config.get(name) for name in _SETTINGS}
        if given != _SETTINGS:
            raise Violation(
                f"the settings for {call.range}, after a compile that took one out",
                expected=str(_SETTINGS),
                got=str(given),
            )


@requirement("HASH-001")
def test_second_start_of_a_compiler_that_takes(subject: Subject, tmp_path: Path) -> None:
    """Nor is it missing from the key under which a piece is found again."""
    warm_start.expect_cold(_start_that_takes(subject, tmp_path), "a first start")
    warm_start.expect_warm(_start_that_takes(subject, tmp_path), "a second start")


@requirement("PASS-001")
def test_pass_that_cannot_be_copied(subject: Subject) -> None:
    """A pass that holds a lock, as one that counts for several threads does, is taken as it is."""
    key, calls = subject.get("pass_key"), []
    locked = make_pass(subject, "locked", lambda graph: calls.append(graph))
    locked.lock = threading.Lock()
    with spy.spying() as log:
        chosen, settings = program("linear-chain"), {key: locked}
        drive(subject, chosen, compiler=spy.NAME, compiler_config=settings).check(6)
    graph = fx.Graph()
    graph.output((graph.placeholder("x"),))
    fx.GraphModule(torch.nn.Module(), graph)
    call = log.compiles[0]
    with (
        subject.context("pass_context", subject.range(*call.range)),
        inside_subject("the pass at the compiler's hook"),
    ):
        call.config[key](graph)
    if len(calls) != 1:
        raise Violation("runs of a pass that holds a lock", expected="one", got=str(len(calls)))


def _may_start(subject: Subject, root: Path, settings: dict[str, Any]) -> spy.Log | None:
    """A start, unless the settings are refused."""
    with may_refuse(True):
        return warm_start.start(subject, root, compiler_config=settings)
    return None


def _edited(body: str) -> Callable[[], Any]:
    return lambda: module_of(f"def before(graph):\n    {body}\n").before


def _captured(number: int) -> Callable[[], Any]:
    text = "def of(number):\n    def before(graph):\n        return number\n"
    text += "    before.__qualname__ = 'before'\n    return before\n"
    return lambda: module_of(text).of(number)


FUNCTIONS = {
    "source": (_edited("graph.lint()"), _edited("graph.eliminate_dead_code()")),
    "closure": (_captured(1), _captured(2)),
}


@requirement("HASH-004")
@pytest.mark.parametrize("name", FUNCTIONS)
def test_other_function_of_one_name(subject: Subject, tmp_path: Path, name: str) -> None:
    """A function among the settings, as torch has them, that was edited or has captured another
    value.
    """
    for made in FUNCTIONS[name]:
        log = _may_start(subject, tmp_path, {"pre_grad_custom_pass": made()})
        if log is not None:
            warm_start.expect_cold(log, f"a start with a function of another {name}")


@requirement("PASS-009")
def test_pass_that_is_not_cached(subject: Subject, tmp_path: Path) -> None:
    """A pass whose uuid is None, which is not to be cached, is compiled at each start."""
    for _ in range(2):
        never = make_pass(subject, None, cached=False)
        log = _may_start(subject, tmp_path, {subject.get("pass_key"): never})
        if log is not None:
            warm_start.expect_cold(log, "a start with a pass whose uuid is None")


@requirement("PASS-011")
def test_manager_of_a_pass_that_is_not_cached(subject: Subject) -> None:
    """Such a pass is in no manager of a uuid that could be met again."""
    uuids: list[Any] = []
    for _ in range(2):
        with may_refuse(True), subject.context("pass_context", subject.range(1, 8)):
            manager = subject.call("PostGradPassManager")
            with inside_subject("PostGradPassManager"):
                manager.configure(subject.config(Options()))
                manager.add(make_pass(subject, None, cached=False))
                uuids.append(manager.uuid())
    if len(uuids) == 2 and uuids[0] is not None and uuids[0] == uuids[1]:
        raise Violation(
            "the uuid of a manager of a pass whose uuid is None",
            expected="None, or a new uuid each time",
            got=repr(uuids[0]),
        )


@requirement("PASS-010")
def test_edited_class_of_a_pass(subject: Subject) -> None:
    """A pass that has no uuid of its own has another one after its class was edited."""
    base, uuids = subject.get("InductorPass"), []
    for body in ("graph.lint()", "graph.eliminate_dead_code()"):
        text = "def of(base):\n    class Pass(base):\n        def __call__(self, graph):\n"
        module = module_of(f"{text}            {body}\n    return Pass\n")
        with inside_subject("InductorPass.uuid"):
            uuids.append(module.of(base)().uuid())
    if uuids[0] is not None and uuids[0] == uuids[1]:
        raise Violation("uuids of a pass before and after an edit", expected="two", got=uuids[0])
