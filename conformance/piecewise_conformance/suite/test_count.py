"""COUNT: counters, which mean the same in every release of torch."""

from __future__ import annotations

import copy
import itertools
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from piecewise_conformance.core.boundary import inside_subject
from piecewise_conformance.core.marks import needs, requirement, slow
from piecewise_conformance.core.verdict import Unsupported, Violation
from piecewise_conformance.subject.subject import Subject
from piecewise_conformance.testkit import sharing_compiler, spy
from piecewise_conformance.testkit.caches import warm_start
from piecewise_conformance.testkit.caches.managers import RANGE, manager
from piecewise_conformance.testkit.cudagraphs.graph_wrapper import graphs
from piecewise_conformance.testkit.drive import drive
from piecewise_conformance.testkit.pieces import times
from piecewise_fixtures.programs import program
from torch import fx

_NAMES = (
    "num_graphs_seen",
    "num_piecewise_graphs_seen",
    "num_piecewise_capturable_graphs_seen",
    "num_backend_compilations",
    "num_inductor_compiles",
    "num_eager_compiles",
    "num_cache_entries_updated",
    "num_compiled_artifacts_saved",
    "num_compiled_artifacts_loaded",
    "num_cudagraph_captured",
)


def _read(subject: Subject) -> dict[str, int]:
    """The counters that the subject has."""
    counter = subject.get("compilation_counter")
    with inside_subject("compilation_counter"):
        return {name: int(getattr(counter, name)) for name in _NAMES if hasattr(counter, name)}


def _grown(subject: Subject, action: Callable[[], Any]) -> dict[str, int]:
    before = _read(subject)
    action()
    return {name: value - before[name] for name, value in _read(subject).items()}


def _expect(grown: dict[str, int], what: str, **expected: int) -> None:
    if lacking := [name for name in expected if name not in grown]:
        raise Unsupported(f"the subject's compilation_counter has no {', '.join(lacking)}")
    got = {name: grown[name] for name in expected}
    if got != expected:
        raise Violation(f"counters {what}", expected=str(expected), got=str(got))


@requirement("COUNT-001")
@pytest.mark.parametrize("name", ["linear-chain", "two-layers", "nothing-to-split", "op-first"])
def test_graphs(subject: Subject, name: str) -> None:
    """One graph, and the pieces that the trace tells of, with and without splitting ops."""
    subject.get("compilation_counter")
    with subject.events() as trace:
        grown = _grown(subject, lambda: drive(subject, program(name)).check(6))
        split = trace().only("Split")
    pieces, splitting = split.details.pieces, split.details.splitting
    _expect(
        grown,
        f"after {name} in {pieces} pieces, {splitting} of splitting ops",
        num_graphs_seen=1,
        num_piecewise_graphs_seen=pieces,
        num_piecewise_capturable_graphs_seen=pieces - splitting,
    )


@requirement("COUNT-002")
@pytest.mark.parametrize("ranges", [{}, {"compile_ranges_endpoints": (5,), "compile_sizes": (4,)}])
def test_cold_start(subject: Subject, tmp_path: Path, ranges: dict[str, Any]) -> None:
    """As many as the compiler was asked for."""
    log = spy.Log()

    def start() -> None:
        nonlocal log
        log = warm_start.start(subject, tmp_path, sizes=(6, 4, 3), **ranges)

    grown = _grown(subject, start)
    asked = len(log.compiles)
    _expect(
        grown,
        f"after a first start with {asked} compiles",
        num_backend_compilations=asked,
        num_cache_entries_updated=asked,
        num_compiled_artifacts_loaded=0,
    )


@requirement("COUNT-002")
def test_compiler_without_handles(subject: Subject, tmp_path: Path) -> None:
    """Compiles without a handle are counted, and no entry is."""
    with spy.spying() as log:
        log.handle = lambda number: None
        driven = drive(
            subject, program("linear-chain"), compiler=spy.NAME, cache_root=str(tmp_path)
        )
        grown = _grown(subject, lambda: driven.check(6))
    _expect(
        grown,
        f"after {len(log.compiles)} compiles without a handle",
        num_backend_compilations=len(log.compiles),
        num_cache_entries_updated=0,
        num_compiled_artifacts_saved=0,
    )


@requirement("COUNT-003")
def test_warm_start(subject: Subject, tmp_path: Path) -> None:
    """A second start on the cache updates and saves nothing."""
    warm_start.start(subject, tmp_path)
    grown = _grown(subject, lambda: warm_start.start(subject, tmp_path))
    _expect(
        grown,
        "after a second start",
        num_graphs_seen=1,
        num_cache_entries_updated=0,
        num_compiled_artifacts_saved=0,
    )


@requirement("COUNT-007")
def test_found_in_the_cache(subject: Subject, tmp_path: Path) -> None:
    """A second start on the cache asks for as many as the first one did."""
    first = _grown(subject, lambda: warm_start.start(subject, tmp_path))
    second = _grown(subject, lambda: warm_start.start(subject, tmp_path))
    if not first.get("num_backend_compilations"):
        raise Unsupported("the subject does not count backend compilations")
    _expect(
        second,
        "after a second start",
        num_backend_compilations=first["num_backend_compilations"],
    )


@requirement("COUNT-008")
@slow
@needs("inductor")
def test_inductor(subject: Subject, tmp_path: Path) -> None:
    """Two unlike pieces: compiled and saved in the first start, loaded in the second."""
    subject.need("inductor", "cache")

    def start() -> None:
        driven = drive(
            subject, program("linear-chain"), compiler="inductor", cache_root=str(tmp_path)
        )
        driven.check(6)

    first, second = _grown(subject, start), _grown(subject, start)
    pieces = first.get("num_piecewise_capturable_graphs_seen")
    if not pieces:
        raise Unsupported("the subject does not count capturable graphs")
    _expect(
        first,
        f"after a first start with Inductor, of {pieces} pieces",
        num_inductor_compiles=pieces,
        num_eager_compiles=0,
        num_compiled_artifacts_saved=pieces,
        num_compiled_artifacts_loaded=0,
    )
    _expect(
        second,
        f"after a second start with Inductor, of {pieces} pieces",
        num_inductor_compiles=0,
        num_eager_compiles=0,
        num_compiled_artifacts_saved=0,
        num_compiled_artifacts_loaded=pieces,
    )


@requirement("COUNT-003")
def test_without_cache(subject: Subject) -> None:
    """Without a cache no entry is updated and no artifact saved."""
    with spy.spying():
        driven = drive(subject, program("linear-chain"), compiler=spy.NAME, cache_root=None)
        grown = _grown(subject, lambda: driven.check(6))
    _expect(
        grown,
        "without a cache",
        num_cache_entries_updated=0,
        num_compiled_artifacts_saved=0,
        num_compiled_artifacts_loaded=0,
    )


@requirement("COUNT-004")
def test_eager(subject: Subject) -> None:
    """Each piece of the eager compiler's is an eager compile."""
    subject.need("eager")
    driven = drive(subject, program("two-layers"), compiler="eager")
    grown = _grown(subject, lambda: driven.check(6))
    compiled = grown["num_backend_compilations"]
    _expect(
        grown,
        f"after {compiled} compiles by the eager compiler",
        num_eager_compiles=grown["num_piecewise_capturable_graphs_seen"],
        num_inductor_compiles=0,
    )


@requirement("COUNT-005")
@pytest.mark.parametrize("mode", ["PIECEWISE", "FULL"])
def test_captures(subject: Subject, device: str, mode: str) -> None:
    """Two descriptors are two captures, however often they are replayed."""
    with graphs(subject, device) as here:
        wrapped = here.wrap(lambda x: x * 2, mode)
        inputs = {size: here.tensor(size, 3) for size in (4, 2)}

        def batches() -> None:
            for size in (4, 2, 2, 4, 2):
                with here.batch(mode, here.descriptor(size)):
                    wrapped(inputs[size])

        grown = _grown(subject, batches)
        _expect(grown, "after five batches of two sizes", num_cudagraph_captured=2)


@requirement("COUNT-006")
def test_log_does_not_grow_with_the_pieces(
    subject: Subject, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A model of many pieces logs, at INFO and above, as many lines as one of few; none again."""
    lines: dict[str, list[str]] = {}
    for name in ("linear-chain", "thirteen-ops"):
        with spy.spying(), caplog.at_level(logging.INFO):
            driven = drive(
                subject, program(name), compiler=spy.NAME, cache_root=str(tmp_path / name)
            )
            caplog.clear()
            driven.check(6)
            lines[name] = _told(caplog)
            caplog.clear()
            driven.check(6)
            lines[f"{name} again"] = _told(caplog)
    few, many = lines["linear-chain"], lines["thirteen-ops"]
    if len(many) > len(few):
        raise Violation(
            "log lines for thirteen splitting ops",
            expected=f"{len(few)}, as for one",
            got="\n".join(many[:20]),
        )
    if again := [*lines["linear-chain again"], *lines["thirteen-ops again"]]:
        raise Violation(
            "log lines for a batch of a known size", expected="none", got="\n".join(again)
        )


def _told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The lines that are not torch's own."""
    return [e.getMessage() for e in caplog.records if not e.name.startswith("torch")]


@requirement("COUNT-009")
def test_time_of_an_equal_piece(
    subject: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two equal pieces the second, which may be served by the artifact of the first, adds its
    time as well. Clocks go on by a second each time that they are read.
    """
    case = times(2)
    again = fx.GraphModule(case.gm, copy.deepcopy(case.gm.graph))
    with spy.spying():
        only = manager(subject, tmp_path, compiler=sharing_compiler.NAME)
        settings = getattr(only.config, "compilation_config", only.config)
        if not hasattr(settings, "compilation_time"):
            raise Unsupported("the subject's config has no compilation_time")
        only.compile(case.gm, case.traced, RANGE, 0, 2)
        before = settings.compilation_time
        clock = itertools.count(time.time())
        for name in ("time", "monotonic", "perf_counter"):
            monkeypatch.setattr(time, name, lambda: next(clock))
        only.compile(again, case.traced, RANGE, 1, 2)
        monkeypatch.undo()
    if not settings.compilation_time > before:
        raise Violation(
            "compilation_time after a piece that is equal to an earlier one",
            expected=f"more than {before}",
            got=str(settings.compilation_time),
        )
