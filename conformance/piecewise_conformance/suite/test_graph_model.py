"""GRAPH: whole models through capture and replay, emulated on a CPU, real on a GPU."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from piecewise_conformance.boundary import may_refuse
from piecewise_conformance.drive import Driven, drive
from piecewise_conformance.llama import decoder, one_sequence
from piecewise_conformance.marks import needs, requirement
from piecewise_conformance.static_graphs import FIRST, Graphs, graphs, same
from piecewise_conformance.subject import Subject
from piecewise_conformance.verdict import Violation
from piecewise_fixtures.forward_context import ForwardContext, set_forward_context
from piecewise_fixtures.programs import Program, program

SIZES = (33, 7, 2)
ORDER = (7, 33, 2, 2, 33, 7)


def _run(here: Graphs, driven: Driven, mode: str, size: int, args: Any = None) -> Any:
    """One batch of ``size`` tokens, without judging it."""
    with here.batch(mode, here.descriptor(size)):
        return driven.got(driven.program.inputs(size) if args is None else args)


def _captured(here: Graphs, subject: Subject, chosen: Program, sizes: tuple[int, ...]) -> Driven:
    """``chosen`` compiled, run at each size uncaptured, then captured."""
    driven = drive(subject, chosen, cudagraph_mode="PIECEWISE", copy_inputs=True)
    for mode in ("NONE", "PIECEWISE"):
        for size in sizes:
            with set_forward_context(one_sequence(size)):
                _run(here, driven, mode, size)
    return driven


@requirement("GRAPH-019")
@needs("transformers")
def test_decoder_piecewise(subject: Subject, device: str) -> None:
    """Captured at three sizes, then replayed in another order, with other tokens each time."""
    with graphs(subject, device) as here, subject.events() as trace:
        driven = _captured(here, subject, decoder(device=device), SIZES)
        before = len(trace().of("Capture")), len(trace().of("Replay"))
        for number, size in enumerate(ORDER):
            ids, positions = driven.program.inputs(size)
            args = (ids.roll(number), positions)
            with (
                set_forward_context(one_sequence(size)),
                here.batch("PIECEWISE", here.descriptor(size)),
            ):
                driven.check_with(args, f"in replay {number}, for {size} tokens")
        captures, replays = before[0], len(trace().of("Replay")) - before[1]
        if len(trace().of("Capture")) != captures or captures % len(SIZES) or not captures:
            raise Violation(
                f"captures of the decoder at {len(SIZES)} sizes",
                expected="the same number for each, and none in a replay",
                got=f"{captures}, then {len(trace().of('Capture')) - captures} more",
            )
        if replays != len(ORDER) * captures // len(SIZES):
            raise Violation(
                f"replays in {len(ORDER)} batches",
                expected=str(len(ORDER) * captures // len(SIZES)),
                got=str(replays),
            )


@requirement("GRAPH-019")
@needs("transformers")
def test_decoder_padded(subject: Subject, device: str) -> None:
    """A batch of five tokens padded to the seven that were captured: its rows are right, whatever
    a larger batch left in the buffers.
    """
    with graphs(subject, device) as here:
        driven = _captured(here, subject, decoder(device=device), SIZES)
        ids, positions = driven.program.inputs(7)
        small = ids[:5], positions[:5]
        with set_forward_context(ForwardContext((5,))):
            _run(here, driven, "PIECEWISE", 33, driven.program.inputs(33))
            expected = driven.expected(small).outputs
            got = _run(here, driven, "PIECEWISE", 7, (ids, positions)).outputs
        same("in the rows that are not padding", expected, got[:5])


@requirement("GRAPH-020")
@needs("transformers")
def test_decoder_as_one_graph(subject: Subject, device: str) -> None:
    """The whole model is captured at three sizes, its attention included, and replayed with new
    tokens in the same buffers.
    """
    with graphs(subject, device) as here, torch.no_grad():
        driven = drive(subject, decoder(device=device), cudagraph_mode="FULL")
        buffers = {size: driven.program.inputs(size) for size in SIZES}
        whole = here.wrap(driven.compiled, "FULL", FIRST)
        for mode in ("NONE", "FULL"):
            for size in SIZES:
                with (
                    set_forward_context(one_sequence(size)),
                    here.batch(mode, here.descriptor(size)),
                ):
                    whole(*buffers[size])
        for number, size in enumerate(ORDER):
            ids, positions = buffers[size]
            ids.copy_(ids.roll(1))
            with set_forward_context(one_sequence(size)):
                expected = driven.expected((ids, positions)).outputs
                with here.batch("FULL", here.descriptor(size)):
                    got = whole(ids, positions)
            same(f"in replay {number}, for {size} tokens", expected, got)


@requirement("GRAPH-021")
@pytest.mark.parametrize("name", ["lone-empty", "two-layers"])
def test_no_empty_graph(subject: Subject, device: str, name: str) -> None:
    """A model with an allocation alone between two splitting ops is captured without a graph that
    launches nothing, and its replays are right.
    """
    chosen = program(name)
    with graphs(subject, device) as here:
        size = chosen.sizes[0]
        driven = drive(subject, chosen, cudagraph_mode="PIECEWISE", copy_inputs=True)
        _run(here, driven, "NONE", size)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            _run(here, driven, "PIECEWISE", size)
        if empty := [each for each in told if "Graph is empty" in str(each.message)]:
            raise Violation("captures that launch nothing", expected="none", got=str(len(empty)))
        for _ in range(2):
            # no graph made the buffer: it has an address of its own each time
            with here.batch("PIECEWISE", here.descriptor(size)), may_refuse(True):
                driven.check(size)


@requirement("GRAPH-022")
@pytest.mark.parametrize("name", ["two-layers", "slices", "op-writes-view"])
def test_events(subject: Subject, name: str) -> None:
    """One ``Capture`` for each piece at each size, one ``Replay`` for each piece in each batch
    after it, with descriptor and mode.
    """
    chosen = program(name)
    with graphs(subject, "cpu") as here, subject.events() as trace:
        driven = drive(subject, chosen, cudagraph_mode="PIECEWISE", copy_inputs=True)
        sizes = chosen.sizes[:2]
        for mode in ("NONE", "PIECEWISE", "PIECEWISE", "PIECEWISE"):
            for size in sizes:
                _run(here, driven, mode, size)
        split = trace().only("Split").details
        pieces = split.pieces - split.splitting
        for kind, batches in (("Capture", 1), ("Replay", 2)):
            events = [each.details for each in trace().of(kind)]
            for size in sizes:
                found = [e for e in events if e.descriptor == here.descriptor(size)]
                modes = {e.mode for e in found}
                if len(found) != batches * pieces or modes != {"PIECEWISE"}:
                    raise Violation(
                        f"{kind} events for {size} tokens, of {pieces} pieces",
                        expected=f"{batches * pieces} in PIECEWISE",
                        got=f"{len(found)} in {sorted(modes)}",
                    )
