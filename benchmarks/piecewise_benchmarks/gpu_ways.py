"""The decoder on a device, batch after batch, in each way that a backend can run it there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from piecewise_conformance.subject.subject import Subject
from piecewise_conformance.testkit.cudagraphs import llama_graphs
from piecewise_conformance.testkit.cudagraphs.graph_wrapper import FIRST, Graphs, graphs
from piecewise_conformance.testkit.drive import Driven, drive
from piecewise_conformance.testkit.models.llama import decoder, one_sequence
from piecewise_conformance.testkit.oracle import Observation, check
from piecewise_fixtures.forward_context import set_forward_context

_GRAPHS = {"cudagraph_mode": "PIECEWISE", "copy_inputs": True}
WAYS: dict[str, dict[str, Any]] = {
    "limit: eager": {},
    "piecewise Inductor": {"compiler": "inductor"},
    "piecewise CUDA graphs": _GRAPHS,
    "piecewise CUDA graphs of Inductor": {"compiler": "inductor", **_GRAPHS},
    "full CUDA graph": {"cudagraph_mode": "FULL"},
}
"""Each way, and the options that ask a subject for it. The first is the model as it is."""


@dataclass(frozen=True)
class Running:
    """The decoder at one batch size, compiled and captured: ``call`` runs a batch and waits for it.

    ``check`` raises for a result that is not the model's. ``reserved`` are the bytes that the
    allocator keeps for it besides weights and inputs, the pools of captured graphs among them.
    """

    call: Callable[[], Any]
    check: Callable[[Any], None]
    reserved: int


@contextmanager
def running(
    subject: Subject, way: str, device: str, tokens: int, layers: int, dtype: torch.dtype
) -> Iterator[Running]:
    """The decoder of ``layers`` layers, on ``device``, for batches of ``tokens`` tokens.

    On a CPU CUDA graphs are emulated: that it works can be seen there, not how fast.
    """
    asked = {**WAYS[way], "max_num_batched_tokens": max(64, tokens)}
    chosen = decoder(dtype, layers, device)
    with (
        graphs(subject, device) as here,
        torch.no_grad(),
        set_forward_context(one_sequence(tokens)),
    ):
        args = chosen.inputs(tokens)
        driven = drive(subject, chosen, **asked)
        expected = driven.expected(args).outputs
        eager = asked.get("compiler") is None
        rule = llama_graphs.rule(here, driven, args) if eager else driven.near(args)
        before = here.reserved()
        batch = _warmed(here, driven, way, args, tokens)

        def call() -> Any:
            result = batch()
            if device != "cpu":
                torch.cuda.synchronize()
            return result

        call()

        def judge(result: Any) -> None:
            check(Observation(expected, [], []), Observation(result, [], []), rule, where=way)

        yield Running(call, judge, here.reserved() - before)


def _warmed(here: Graphs, driven: Driven, way: str, args: Any, tokens: int) -> Callable[[], Any]:
    """One batch of ``tokens`` tokens, after all that is done once: to compile, and to capture."""
    if way == "limit: eager":
        return lambda: driven.plain(*args)
    mode = driven.options.cudagraph_mode
    # Compiled for another size: Dynamo would take a batch of one token for a constant.
    with set_forward_context(one_sequence(7)):
        llama_graphs.batch(here, driven, "NONE", 7)
    wrapped = here.wrap(driven.compiled, "FULL", FIRST) if mode == "FULL" else driven.compiled
    descriptor = here.descriptor(tokens)

    def batch(mode: str) -> Any:
        with here.batch(mode, descriptor):
            return wrapped(*args)

    for warm in ("NONE", mode):
        batch(warm)
    return lambda: batch(mode)


def idle(spans: Iterable[tuple[float, float]]) -> float:
    """How long, between the first start and the last end of ``spans``, none of them ran."""
    gaps, until = 0.0, None
    for start, end in sorted(spans):
        if until is not None and start > until:
            gaps += start - until
        until = end if until is None else max(until, end)
    return gaps


def launch_gaps(call: Callable[[], Any]) -> tuple[int, float] | None:
    """The kernels of one call, and the seconds that the device waited between them.

    None where no kernel ran on a device. Profiling makes launches slower: take the gaps for an
    upper bound, and the number of kernels as it is.
    """
    if not torch.cuda.is_available():
        return None
    activities = [torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profiled:
        call()
    spans = [
        (event.time_range.start, event.time_range.end)
        for event in profiled.events() or ()
        if event.device_type.name == "CUDA"
    ]
    return (len(spans), idle(spans) / 1e6) if spans else None
