"""BACKEND: what the trace tells of a start."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from piecewise_conformance.core.boundary import expect_refusal
from piecewise_conformance.core.marks import requirement
from piecewise_conformance.core.verdict import Violation
from piecewise_conformance.subject.event_trace import Trace
from piecewise_conformance.subject.subject import Subject
from piecewise_conformance.testkit import spy
from piecewise_conformance.testkit.caches.warm_start import start
from piecewise_conformance.testkit.drive import drive
from piecewise_conformance.testkit.splits import graph_for, split
from piecewise_fixtures.programs import program


@requirement("BACKEND-006")
def test_trace_of_a_start(subject: Subject, tmp_path: Path) -> None:
    """Split, Compile and CacheHit events count what the spy saw."""
    for expected in ("Compile", "CacheHit"):
        with subject.events() as trace:
            log = start(subject, tmp_path, "linear-chain", compile_ranges_endpoints=(5,))
        seen = trace()
        counts = {kind: len(seen.of(kind)) for kind in ("Split", "Compile", "CacheHit")}
        wanted = {"Split": 1, "Compile": len(log.compiles), "CacheHit": len(log.loads)}
        if counts != wanted or not counts[expected]:
            raise Violation(
                f"events of a start with {expected}",
                expected=str(wanted),
                got=str(counts),
            )
        ranges = {(event.piece, event.range) for event in seen.of(expected)}
        calls = log.compiles if expected == "Compile" else log.loads
        if len(ranges) != len(calls) or {each for _, each in ranges} != {c.range for c in calls}:
            raise Violation(
                "pieces and ranges of the events", expected=str(len(calls)), got=str(ranges)
            )


@requirement("BACKEND-006")
@pytest.mark.parametrize(("name", "splitting"), [("linear-chain", 1), ("nothing-to-split", 0)])
def test_trace_of_a_split(subject: Subject, name: str, splitting: int) -> None:
    """The Split event has the number of pieces."""
    with subject.events() as trace:
        drive(subject, program(name)).check(6)
    told = _told_of_splits(trace())
    if len(told) != 1 or told[0][1] != splitting or not told[0][0] or told[0][0] < splitting + 1:
        raise Violation("the Split event", expected=f"1, {splitting} splitting", got=str(told))


def _told_of_splits(trace: Trace) -> list[tuple[Any, Any]]:
    return [(event.details.pieces, event.details.splitting) for event in trace.of("Split")]


@requirement("BACKEND-006")
@pytest.mark.parametrize("name", ["linear-chain", "ops-back-to-back", "thirteen-ops"])
def test_trace_agrees_with_the_splitter(subject: Subject, name: str) -> None:
    """The Split event counts the pieces that ``split_graph`` gives for the same graph."""
    pieces = split(subject, graph_for(subject, name)).pieces
    with subject.events() as trace:
        drive(subject, program(name)).check(6)
    expected, told = (len(pieces), sum(each.is_splitting for each in pieces)), trace()
    if _told_of_splits(told) != [expected]:
        raise Violation(
            "pieces and splitting pieces of the Split event",
            expected=str([expected]),
            got=str(_told_of_splits(told)),
        )


@requirement("BACKEND-006")
def test_trace_of_a_start_in_part_warm(subject: Subject, tmp_path: Path) -> None:
    """What is loaded is a CacheHit, and what the same start compiles beside it a Compile."""
    options: dict[str, Any] = {"compile_ranges_endpoints": (5,)}
    start(subject, tmp_path, sizes=(6,), **options)
    with subject.events() as trace:
        log = start(subject, tmp_path, sizes=(6, 4), **options)
    for kind, calls in (("CacheHit", log.loads), ("Compile", log.compiles)):
        told = sorted(str(event.range) for event in trace().of(kind))
        # a backend that compiles for every range at once has nothing left to compile
        if told != sorted(str(call.range) for call in calls) or (kind == "CacheHit" and not told):
            raise Violation(
                f"ranges of {kind} events",
                expected=str([call.range for call in calls]),
                got=str(told),
            )


@requirement("BACKEND-006")
def test_trace_of_a_compile_that_fails(subject: Subject) -> None:
    """What was not compiled is not told as compiled; the next try is."""
    with spy.spying() as log, subject.events() as trace:
        driven = drive(subject, program("linear-chain"), compiler=spy.NAME)
        log.fail = True
        with expect_refusal("a failing compile", "told to fail"):
            driven.got(driven.program.inputs(6))
        if told := trace().of("Compile"):
            raise Violation(
                "Compile events of compiles that failed", expected="none", got=str(told)
            )


@requirement("BACKEND-006")
def test_trace_of_a_load_that_fails(subject: Subject, tmp_path: Path) -> None:
    """What could not be loaded was compiled, and is no CacheHit."""
    start(subject, tmp_path, sizes=(6,))
    with spy.spying() as log, subject.events() as trace:
        driven = drive(
            subject, program("linear-chain"), compiler=spy.NAME, cache_root=str(tmp_path)
        )
        log.fail_load = True
        driven.check(6)
        counts = {kind: len(trace().of(kind)) for kind in ("Compile", "CacheHit")}
    wanted = {"Compile": len(log.compiles), "CacheHit": 0}
    if counts != wanted:
        raise Violation(
            "events of a start whose artifacts are gone", expected=str(wanted), got=str(counts)
        )


@requirement("BACKEND-012")
def test_recordings_nest(subject: Subject) -> None:
    """Each tells what happened while it was open, whatever others are open or end, also by an
    exception.
    """
    subject.get("record_events")

    def splits(trace: Any) -> int:
        return len(trace().of("Split"))

    with subject.events() as outer:
        with subject.events() as inner:
            drive(subject, program("linear-chain")).check(6)
        with suppress(LookupError), subject.events() as failed:
            raise LookupError
        drive(subject, program("nothing-to-split")).check(6)
        meanwhile = splits(outer), splits(inner), splits(failed)
    drive(subject, program("linear-chain")).check(6)
    got = (*meanwhile, splits(outer), splits(inner), splits(failed))
    if got != (2, 1, 0, 2, 1, 0):
        raise Violation(
            "splits in an outer, an inner and a failed recording, during and after each",
            expected="(2, 1, 0), and again",
            got=str(got),
        )
