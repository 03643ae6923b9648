"""The Llama decoder through capture and replay, piece by piece and as one graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from piecewise_fixtures.forward_context import ForwardContext, set_forward_context
from piecewise_fixtures.programs import Program

from ...core.verdict import Violation
from ...subject.subject import Subject
from ..drive import Driven, drive
from ..models.llama import decoder, one_sequence
from ..oracle import EXACT, Observation, Rule, check
from .graph_wrapper import FIRST, Counted, Graphs, graphs

SIZES = (33, 7, 2)  # as engines do, the largest is captured first
ORDER = (7, 33, 2, 2, 33, 7)


@dataclass(frozen=True)
class Figures:
    """Of one run: captures and replays that were told as events, and bytes reserved by graphs."""

    captures: int
    replays: int
    reserved: int


def batch(here: Graphs, driven: Driven, mode: str, size: int, args: Any = None) -> Any:
    """One batch of ``size`` tokens, without judging it."""
    with here.batch(mode, here.descriptor(size)):
        return driven.got(driven.program.inputs(size) if args is None else args)


def rule(here: Graphs, driven: Driven, args: Sequence[Any]) -> Rule:
    """Equal to the bit where the same kernels run; on a GPU graphs may choose others."""
    return EXACT if here.device == "cpu" else driven.near(args)


def captured(here: Graphs, subject: Subject, chosen: Program, sizes: Sequence[int]) -> Driven:
    """``chosen`` compiled, run at each size uncaptured, then captured piece by piece."""
    driven = drive(subject, chosen, cudagraph_mode="PIECEWISE", copy_inputs=True)
    for mode in ("NONE", "PIECEWISE"):
        for size in sizes:
            with set_forward_context(one_sequence(size)):
                batch(here, driven, mode, size)
    return driven


def piecewise(subject: Subject, device: str, dtype: torch.dtype = torch.float32) -> Figures:
    """Captured at three sizes, then replayed in another order, with other tokens each time.

    Violation for a wrong batch, for captures that are not as many at each size, for a piece that
    is neither captured nor replayed in a batch, and for captures in the third batch of a size. In
    the second a wrapper may capture anew: some of its inputs may lie elsewhere for the first time.
    """
    with graphs(subject, device) as here, subject.events() as trace:
        reserved = here.reserved()
        driven = captured(here, subject, decoder(dtype, device=device), SIZES)
        made, early = len(trace().of("Capture")), len(trace().of("Replay"))
        pieces, rest = divmod(made, len(SIZES))
        if rest or not made:
            raise Violation(
                f"graphs captured of the decoder at {len(SIZES)} sizes",
                expected="the same number for each size",
                got=str(made),
            )
        for number, size in enumerate(ORDER):
            ids, positions = driven.program.inputs(size)
            args = (ids.roll(number), positions)
            before = len(trace().of("Capture")), len(trace().of("Replay"))
            with set_forward_context(one_sequence(size)):
                expected = driven.expected(args)
                got = batch(here, driven, "PIECEWISE", size, args)
                judged = rule(here, driven, args)
            check(expected, got, judged, where=f"in replay {number}, for {size} tokens")
            again = len(trace().of("Capture")) - before[0]
            replayed = len(trace().of("Replay")) - before[1]
            if again + replayed != pieces or (again and size in ORDER[:number]):
                raise Violation(
                    f"graphs captured and replayed in replay {number}, for {size} tokens",
                    expected=f"{pieces} in total, and none captured in the third batch of a size",
                    got=f"{again} and {replayed}",
                )
        captures = len(trace().of("Capture"))
        replays = len(trace().of("Replay")) - early
        return Figures(captures, replays, here.reserved() - reserved)


def padded(subject: Subject, device: str) -> None:
    """A batch of five tokens padded to the seven that were captured, after a larger one.

    The decoder itself runs the padded batch, too: for another number of rows torch may multiply
    matrices with another kernel, which rounds otherwise.
    """
    with graphs(subject, device) as here:
        driven = captured(here, subject, decoder(device=device), SIZES)
        ids, positions = driven.program.inputs(7)
        args = ids, positions
        with set_forward_context(ForwardContext((5,))):
            batch(here, driven, "PIECEWISE", 33)
            expected = driven.expected(args).outputs
            got = batch(here, driven, "PIECEWISE", 7, args).outputs
            judged = rule(here, driven, args)
        check(
            Observation(expected[:5], [], []),
            Observation(got[:5], [], []),
            judged,
            where="in the rows that are not padding",
        )


def whole(subject: Subject, device: str, dtype: torch.dtype = torch.float32) -> Figures:
    """As one graph, its attention included, at three sizes; replayed with new tokens in place.

    Violation for a wrong batch, and for a model that runs again.
    """
    with graphs(subject, device) as here, torch.no_grad(), subject.events() as trace:
        before = here.reserved()
        driven = drive(subject, decoder(dtype, device=device), cudagraph_mode="FULL")
        buffers = {size: driven.program.inputs(size) for size in SIZES}
        model = Counted(driven.compiled)
        wrapped = here.wrap(model, "FULL", FIRST)
        for mode in ("NONE", "FULL"):
            for size in SIZES:
                with (
                    set_forward_context(one_sequence(size)),
                    here.batch(mode, here.descriptor(size)),
                ):
                    wrapped(*buffers[size])
        early, runs = len(trace().of("Replay")), model.calls
        for number, size in enumerate(ORDER):
            ids, positions = buffers[size]
            ids.copy_(ids.roll(1))
            with set_forward_context(one_sequence(size)):
                expected = driven.expected((ids, positions)).outputs
                judged = rule(here, driven, (ids, positions))
                with here.batch("FULL", here.descriptor(size)):
                    got = wrapped(ids, positions)
            check(
                Observation(expected, [], []),
                Observation(got, [], []),
                judged,
                where=f"in replay {number}, for {size} tokens",
            )
        if model.calls != runs:
            raise Violation(
                f"runs of the model in {len(ORDER)} batches of captured sizes",
                expected="none",
                got=str(model.calls - runs),
            )
        return Figures(
            len(trace().of("Capture")),
            len(trace().of("Replay")) - early,
            here.reserved() - before,
        )
