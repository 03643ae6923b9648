"""BACKEND, HASH, PASS: the compiler's settings, which it may change and which may hold anything."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import torch
from piecewise_conformance import spy, warm
from piecewise_conformance.boundary import inside_subject
from piecewise_conformance.drive import drive
from piecewise_conformance.marks import requirement
from piecewise_conformance.passes import make_pass
from piecewise_conformance.subject import Subject
from piecewise_conformance.verdict import Violation
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
    warm.expect_cold(_start_that_takes(subject, tmp_path), "a first start")
    warm.expect_warm(_start_that_takes(subject, tmp_path), "a second start")


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
