"""GRAPH: the first batch of a kind, which is captured: what it compiles, and what it writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from piecewise_conformance.core.marks import requirement
from piecewise_conformance.core.verdict import Violation
from piecewise_conformance.subject.subject import Subject
from piecewise_conformance.testkit import spy
from piecewise_conformance.testkit.cudagraphs.graph_wrapper import (
    FIRST,
    LAST,
    MIDDLE,
    Graphs,
    graphs,
    kept,
    or_refused,
    same,
)
from piecewise_conformance.testkit.drive import Driven, drive

RANGES: dict[str, dict[str, Any]] = {
    "one-range": {},
    "two-ranges": {"compile_ranges_endpoints": (5,)},
    "single-sizes": {"compile_sizes": (6, 4)},
}


def _spied(subject: Subject, here: Graphs, mode: str, **changes: Any) -> Driven:
    return drive(
        subject,
        here.program("linear-chain"),
        compiler=spy.NAME,
        cudagraph_mode=mode,
        copy_inputs=mode == "PIECEWISE",
        **changes,
    )


def _expect_outside(log: spy.Log) -> None:
    """Violation if a piece was compiled or loaded while a graph was captured."""
    for what, calls in (("compiled", log.compiles), ("loaded", log.loads)):
        if inside := [each for each in calls if each.in_capture]:
            raise Violation(
                f"pieces {what} while a CUDA graph was captured",
                expected="none",
                got=f"{len(inside)}, for ranges {sorted({each.range for each in inside})}",
            )


@requirement("GRAPH-026")
@pytest.mark.parametrize("ranges", RANGES)
@pytest.mark.parametrize("start", ["cold", "warm"])
def test_first_batch_of_captured_pieces(
    subject: Subject, device: str, tmp_path: Path, ranges: str, start: str
) -> None:
    """The first call of a model, and the first batch of each range, are batches that are captured:
    pieces are compiled, or loaded from the cache, before the capture begins.
    """
    changes = {**RANGES[ranges], "cache_root": str(tmp_path)}
    for turn in ("cold", start):
        with graphs(subject, device) as here, spy.spying() as log:
            driven = _spied(subject, here, "PIECEWISE", **changes)
            for number, size in enumerate((6, 4, 6, 4)):
                args = driven.program.inputs(size)
                with here.batch("PIECEWISE", here.descriptor(size)), or_refused(number < 2):
                    got = driven.got(args)
                if number >= 2:
                    same(f"of {size} tokens", driven.expected(args).outputs, got.outputs)
            _expect_outside(log)
        if turn == start:
            break


@requirement("GRAPH-026")
@pytest.mark.parametrize("ranges", RANGES)
def test_first_batch_of_a_full_graph(subject: Subject, device: str, ranges: str) -> None:
    """A model that was never called, in a wrapper for FULL graphs: its pieces are compiled before
    the capture, or the batch is refused; once it was called uncaptured it is captured and right.
    """
    with graphs(subject, device) as here, spy.spying() as log:
        driven = _spied(subject, here, "FULL", **RANGES[ranges])
        wrapped = here.wrap(driven.compiled, "FULL", FIRST)
        buffers = {size: driven.program.inputs(size) for size in (6, 4)}
        for mode in ("FULL", "NONE", "FULL", "FULL"):
            for size, args in buffers.items():
                with here.batch(mode, here.descriptor(size)), or_refused(mode == "FULL"):
                    driven.program.mark_dynamic(args)
                    wrapped(*args)
            _expect_outside(log)
        for size, args in buffers.items():
            expected = driven.expected(args).outputs
            with here.batch("FULL", here.descriptor(size)):
                same(f"of {size} tokens", expected, kept(wrapped(*args)))


@requirement("GRAPH-027")
@pytest.mark.parametrize("mode", ["PIECEWISE", "FULL"])
@pytest.mark.parametrize("place", [FIRST, MIDDLE, LAST], ids=["first", "middle", "last"])
@pytest.mark.parametrize("where", ["input", "outside"])
def test_a_capture_writes_at_most_once(
    subject: Subject, device: str, where: str, place: tuple[bool, bool, bool], mode: str
) -> None:
    """A counter that the callable adds to, an input or memory of the model's own, has after the
    capture what one call leaves there, or what it had before.
    """
    with graphs(subject, device) as here:
        x, counter = here.tensor(4, 3), here.tensor(4, 3, seed=1)

        def add(x: torch.Tensor, own: torch.Tensor | None = None) -> torch.Tensor:
            (counter if own is None else own).add_(x)
            return x * 2

        wrapped = here.wrap(add, mode, place)
        args = (x, counter) if where == "input" else (x,)
        before = counter.clone()
        with here.batch(mode, here.descriptor(4), dummy=False):
            wrapped(*args)
        if not any(torch.equal(counter, each) for each in (before, before + x)):
            raise Violation(
                "the state that the callable writes, after the call that captures",
                expected="as after one call, or as before it",
                got=f"{((counter - before) / x).mean():.1f} times the change of one call",
            )
