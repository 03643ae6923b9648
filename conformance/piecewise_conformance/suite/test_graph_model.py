"""GRAPH: whole models through capture and replay, emulated on a CPU, real on a GPU."""

from __future__ import annotations

import itertools
import warnings
from contextlib import suppress

import pytest
import torch
from piecewise_conformance.core.marks import needs, requirement, slow
from piecewise_conformance.core.verdict import Violation
from piecewise_conformance.subject.event_trace import Event, Trace
from piecewise_conformance.subject.subject import Subject
from piecewise_conformance.testkit.cudagraphs import llama_graphs
from piecewise_conformance.testkit.cudagraphs.graph_wrapper import Counted, graphs, or_refused
from piecewise_conformance.testkit.cudagraphs.llama_graphs import batch
from piecewise_conformance.testkit.drive import drive, other_values

BATCHES = 4


@requirement("GRAPH-019")
@slow
@needs("transformers")
def test_decoder_piecewise(subject: Subject, device: str) -> None:
    """Captured at three sizes, then replayed in another order, with other tokens each time."""
    llama_graphs.piecewise(subject, device)


@requirement("GRAPH-019")
@slow
@needs("transformers")
def test_decoder_padded(subject: Subject, device: str) -> None:
    """A batch of five tokens padded to the seven that were captured: its rows are right, whatever
    a larger batch left in the buffers.
    """
    llama_graphs.padded(subject, device)


@requirement("GRAPH-024")
@pytest.mark.parametrize(
    "name", ["input-updated-around-op", "input-updated-by-op", "cache-updated"]
)
def test_model_that_writes(subject: Subject, device: str, name: str) -> None:
    """What a model writes into its inputs the caller finds there after a replay, too, unless the
    batch is refused.
    """
    with graphs(subject, device) as here:
        chosen = here.program(name)
        size = chosen.sizes[0]
        driven = drive(subject, chosen, cudagraph_mode="PIECEWISE", copy_inputs=True)
        for mode in ("NONE", "PIECEWISE"):
            batch(here, driven, mode, size)
        for args in (other_values(chosen.inputs(size)), chosen.inputs(size)):
            with here.batch("PIECEWISE", here.descriptor(size)), or_refused(True):
                driven.check_with(args, "in a replay", aliasing=False)


@requirement("GRAPH-028")
@pytest.mark.parametrize("name", ["linear-chain", "two-layers"])
def test_splitting_ops_that_return_new_tensors(subject: Subject, device: str, name: str) -> None:
    """Results of splitting ops lie at other addresses in each batch of a captured size, since the
    memory of earlier ones is still in use: every batch is served, and right.
    """
    with graphs(subject, device) as here:
        chosen = here.program(name)
        size = chosen.sizes[0]
        driven = drive(subject, chosen, cudagraph_mode="PIECEWISE", copy_inputs=True)
        for mode in ("NONE", "PIECEWISE"):
            batch(here, driven, mode, size)
        held: list[torch.Tensor] = []  # takes the places where tensors of these sizes lay
        for number in range(4):
            held += [here.tensor(size, width) for width in (8, 16) for _ in range(8)]
            args = chosen.inputs(size) if number % 2 else other_values(chosen.inputs(size))
            with here.batch("PIECEWISE", here.descriptor(size)):
                driven.check_with(args, f"in batch {number} after the capture", aliasing=False)


@requirement("GRAPH-020")
@slow
@needs("transformers")
def test_decoder_as_one_graph(subject: Subject, device: str) -> None:
    """The whole model is captured at three sizes, its attention included, and replayed with new
    tokens in the same buffers.
    """
    llama_graphs.whole(subject, device)


@requirement("GRAPH-021")
@pytest.mark.parametrize("name", ["lone-empty", "two-layers"])
def test_no_empty_graph(subject: Subject, device: str, name: str) -> None:
    """A model with an allocation alone between two splitting ops is captured without a graph that
    launches nothing, and its replays are right.
    """
    with graphs(subject, device) as here:
        chosen = here.program(name)
        size = chosen.sizes[0]
        driven = drive(subject, chosen, cudagraph_mode="PIECEWISE", copy_inputs=True)
        batch(here, driven, "NONE", size)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            batch(here, driven, "PIECEWISE", size)
        if empty := [each for each in told if "Graph is empty" in str(each.message)]:
            raise Violation("CUDA graphs that launch nothing", expected="none", got=str(len(empty)))
        for args in (other_values(chosen.inputs(size)), chosen.inputs(size)):
            # no graph made the buffer: it has an address of its own each time
            with here.batch("PIECEWISE", here.descriptor(size)), or_refused(True):
                driven.check_with(args, "in a replay")


@requirement("GRAPH-022")
@pytest.mark.parametrize("name", ["two-layers", "slices", "op-writes-view"])
def test_events(subject: Subject, device: str, name: str) -> None:
    """In each batch one ``Capture`` or one ``Replay`` for each piece, with descriptor and mode: in
    the first of a size all are captures, in the last all are replays. In between a wrapper may
    capture anew, for inputs that first lie elsewhere.
    """
    with graphs(subject, device) as here, subject.events() as trace:
        chosen = here.program(name)
        driven = drive(subject, chosen, cudagraph_mode="PIECEWISE", copy_inputs=True)
        sizes = chosen.sizes[:2]
        for size in sizes:
            batch(here, driven, "NONE", size)
        split = trace().only("Split").details
        pieces = split.pieces - split.splitting
        for number, size in itertools.product(range(BATCHES), sizes):
            before = len(_graph_events(trace()))
            batch(here, driven, "PIECEWISE", size)
            told = _graph_events(trace())[before:]
            kinds = {0: {"Capture"}, BATCHES - 1: {"Replay"}}.get(number, {"Capture", "Replay"})
            rest = [each for each in told if each.kind not in kinds or each.mode != "PIECEWISE"]
            others = [e for e in told if e.details.descriptor != here.descriptor(size)]
            if len(told) != pieces or rest or others:
                raise Violation(
                    f"events of batch {number} for {size} tokens, with {pieces} pieces",
                    expected=f"{pieces} of {' or '.join(sorted(kinds))}, in PIECEWISE",
                    got=str([(each.kind, each.mode, each.details.descriptor) for each in told]),
                )


def _graph_events(trace: Trace) -> list[Event]:
    for kind in ("Capture", "Replay"):
        trace.of(kind)  # they have all attributes
    return [each for each in trace.events if each.kind in ("Capture", "Replay")]


@requirement("GRAPH-022")
def test_events_of_inputs_elsewhere(subject: Subject, device: str) -> None:
    """A call is one ``Replay`` where the callable does not run, for inputs at other addresses too,
    and none where it is refused.
    """
    with graphs(subject, device) as here, subject.events() as trace:
        counted = Counted(lambda x: x * 2)
        wrapped = here.wrap(counted)
        held = [here.tensor(4, 3, seed=seed) for seed in range(3)]
        for x in (held[0], *held, held[0][:2]):
            before, ran, refused = len(trace().of("Replay")), counted.calls, True
            with here.batch("PIECEWISE", here.descriptor(4)), or_refused(x is not held[0]):
                wrapped(x)
                refused = False
            told = len(trace().of("Replay")) - before
            ran_again = counted.calls > ran
            outcome = "was refused" if refused else "ran the callable" if ran_again else "replayed"
            expected = int(outcome == "replayed")
            if told != expected:
                raise Violation(
                    f"Replay events of a call that {outcome}",
                    expected=str(expected),
                    got=str(told),
                )


@requirement("GRAPH-022")
def test_events_of_a_failed_capture(subject: Subject, device: str) -> None:
    """A capture whose callable raises is told of as little as it can be replayed."""

    def function(x: torch.Tensor) -> torch.Tensor:
        raise LookupError("in a capture")

    with graphs(subject, device) as here, subject.events() as trace:
        wrapped = here.wrap(function)
        # GRAPH-017 asks what is raised
        with suppress(Exception), here.batch("PIECEWISE", here.descriptor(4)):
            wrapped(here.tensor(4, 3))
        if told := [each.kind for each in (*trace().of("Capture"), *trace().of("Replay"))]:
            raise Violation("events of a capture that failed", expected="none", got=str(told))
