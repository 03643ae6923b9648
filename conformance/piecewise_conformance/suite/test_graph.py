"""GRAPH: static graphs, as far as they need no device."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import torch
from piecewise_conformance.core.boundary import inside_subject, words_of
from piecewise_conformance.core.marks import needs, requirement
from piecewise_conformance.core.options import Options
from piecewise_conformance.core.verdict import Violation
from piecewise_conformance.subject.subject import Subject
from piecewise_conformance.testkit.capture_cache import settle
from piecewise_conformance.testkit.cudagraphs import fake_wrapper
from piecewise_conformance.testkit.drive import Driven, drive, options_for
from piecewise_fixtures.programs import Program, program

# mode: (decode part, mixed part)
MODES = {
    "NONE": ("NONE", "NONE"),
    "PIECEWISE": ("PIECEWISE", "PIECEWISE"),
    "FULL": ("FULL", "FULL"),
    "FULL_DECODE_ONLY": ("FULL", "NONE"),
    "FULL_AND_PIECEWISE": ("FULL", "PIECEWISE"),
}


@requirement("GRAPH-001")
@pytest.mark.parametrize("name", MODES)
def test_mode(subject: Subject, name: str) -> None:
    """The two parts of a mode, and the questions that are asked of it."""
    modes = subject.get("CUDAGraphMode")
    with inside_subject("CUDAGraphMode"):
        mode = modes[name]
        got = (
            mode.decode_mode().name,
            mode.mixed_mode().name,
            bool(mode.has_piecewise_cudagraphs()),
            bool(mode.has_full_cudagraphs()),
            bool(mode.separate_routine()),
        )
    parts = MODES[name]
    expected = (*parts, "PIECEWISE" in parts, "FULL" in parts, parts[0] != parts[1])
    if got != expected:
        raise Violation(
            f"decode part, mixed part, piecewise, full, separate of {name}",
            expected=str(expected),
            got=str(got),
        )


def _wrapped(subject: Subject, name: str, **changes: Any) -> list[fake_wrapper.Wrapped]:
    """The wrappers made for the program ``name``, which is checked at every size."""
    return _wrapped_of(subject, program(name), **changes)


def _wrapped_of(subject: Subject, chosen: Program, **changes: Any) -> list[fake_wrapper.Wrapped]:
    with (
        fake_wrapper.watching() as made,
        subject.context("use_static_graph_wrapper", fake_wrapper.NAME),
    ):
        driven = drive(subject, chosen, **changes)
        for size in chosen.sizes:
            driven.check(size)
    return made


@requirement("GRAPH-002")
@pytest.mark.parametrize("mode", ["PIECEWISE", "FULL_AND_PIECEWISE"])
@pytest.mark.parametrize("name", ["linear-chain", "two-layers", "op-first", "ops-back-to-back"])
def test_pieces_are_wrapped(subject: Subject, name: str, mode: str) -> None:
    """As many wrappers as compiled pieces, all PIECEWISE, and each runs with the model."""
    with subject.events() as trace:
        made = _wrapped(subject, name, cudagraph_mode=mode)
        split = trace().only("Split")
    expected = split.details.pieces - split.details.splitting
    runtime_modes = {each.runtime_mode for each in made}
    if len(made) != expected or runtime_modes - {"PIECEWISE"}:
        raise Violation(
            f"the wrappers of {name}",
            expected=f"{expected}, in mode PIECEWISE",
            got=f"{len(made)}, in {sorted(runtime_modes)}",
        )
    if idle := [each for each in made if each.calls != len(program(name).sizes)]:
        raise Violation(
            "calls of each wrapper", expected=str(len(program(name).sizes)), got=str(idle)
        )


@torch.library.custom_op("piecewise_suite::expand", mutates_args=())
def expand(x: torch.Tensor) -> torch.Tensor:
    """An op that computes, under the name of one that does not."""
    return x * 2


@expand.register_fake
def _(x: torch.Tensor) -> torch.Tensor:
    return torch.empty_like(x)


LONE: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "clone": torch.clone,
    "contiguous": lambda x: x.t().contiguous().t(),
    "to": lambda x: x.to(torch.float64),
    "flip": lambda x: x.flip(1),
    "index": lambda x: x[:, [1, 0]],
    "fill-in-place": lambda x: x.fill_(2),
    "custom-op-named-as-a-view": lambda x: torch.ops.piecewise_suite.expand(x),
}


@cache
def _between_ops(name: str) -> Program:
    class Between(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = torch.ops.piecewise.scaled(x + 1)
            return torch.ops.piecewise.scaled(LONE[name](y)) - 1

    base = program("linear-chain")
    return Program(
        f"{name}-between-ops",
        "",
        Between,
        base.inputs,
        base.splitting_ops,
        base.sizes,
        base.dynamic,
        frozenset(),
    )


@requirement("GRAPH-002")
@pytest.mark.parametrize("name", LONE)
def test_a_piece_of_one_op_is_wrapped(subject: Subject, name: str) -> None:
    """What copies computes, and so does an op of somebody else's, whatever it is called."""
    made = _wrapped_of(subject, _between_ops(name), cudagraph_mode="PIECEWISE")
    if len(made) != 3:
        raise Violation(
            f"the wrappers of three pieces, {name} alone in the second",
            expected="3",
            got=str(len(made)),
        )


@requirement("GRAPH-003")
@pytest.mark.parametrize("name", ["two-layers", "linear-chain", "op-last"])
def test_options(subject: Subject, name: str) -> None:
    """First, middle and last piece, in the order in which they run; one piece is first and last."""
    made = sorted(_wrapped(subject, name, cudagraph_mode="PIECEWISE"), key=lambda each: each.turn)
    if not made:
        raise Violation("the wrappers in mode PIECEWISE", expected="one per piece", got="none")
    got = [each.options for each in made]
    last = len(made) - 1
    expected = [(i == 0, i != 0, i == last) for i in range(len(made))]
    if got != expected:
        raise Violation(
            "(debug_log_enable, gc_disable, weak_ref_output) of the pieces",
            expected=str(expected),
            got=str(got),
        )


@requirement("GRAPH-004")
@pytest.mark.parametrize("mode", ["NONE", "FULL", "FULL_DECODE_ONLY"])
def test_nothing_is_wrapped(subject: Subject, mode: str) -> None:
    """In modes without a piecewise part."""
    if made := _wrapped(subject, "two-layers", cudagraph_mode=mode):
        raise Violation(f"wrappers in mode {mode}", expected="none", got=str(len(made)))


@requirement("GRAPH-004")
@needs("inductor")
def test_nothing_is_wrapped_where_inductor_partitions(subject: Subject) -> None:
    """The one piece that there is then holds the splitting ops."""
    subject.need("inductor", "inductor-partition")
    settle()
    chosen = program("two-layers")
    options = options_for(
        subject, chosen, compiler="inductor", cudagraph_mode="PIECEWISE", partition_in_inductor=True
    )
    compiled = []

    def backend(graph: Any, example_inputs: Any) -> Any:
        compiled.append(subject.backend(options)(graph, example_inputs))
        return graph  # whether it is right is asked elsewhere, and takes seconds

    with (
        fake_wrapper.watching() as made,
        subject.context("use_static_graph_wrapper", fake_wrapper.NAME),
    ):
        Driven(subject, chosen, options, backend).check(chosen.sizes[0])
    if not compiled or made:
        raise Violation(
            "wrappers with Inductor's own partitioning", expected="none", got=str(len(made))
        )


@requirement("GRAPH-005")
@pytest.mark.parametrize("own", ["PIECEWISE", "FULL"])
def test_runs_what_it_wraps(subject: Subject, own: str) -> None:
    """Without a context, in NONE and in the other mode: the callable itself, each time."""
    modes = subject.get("CUDAGraphMode")
    calls: list[tuple[Any, ...]] = []

    def runnable(*args: Any) -> Any:
        calls.append(args)
        return ("result", len(calls))

    wrapper = subject.call(
        "CUDAGraphWrapper", runnable, subject.config(Options()), runtime_mode=modes[own]
    )
    other = "FULL" if own == "PIECEWISE" else "PIECEWISE"
    descriptor = subject.call("BatchDescriptor", num_tokens=4)
    token = object()

    def expect_direct(number: int, where: str) -> None:
        with inside_subject("CUDAGraphWrapper"):
            got = wrapper(token, number)
        if got != ("result", len(calls)) or calls[-1] != (token, number):
            raise Violation(f"a call {where}", expected="the callable's own result", got=repr(got))

    expect_direct(1, "outside of a forward context")
    for number, mode in enumerate(("NONE", other, "NONE"), start=2):
        with subject.context(
            "set_forward_context",
            None,
            batch_descriptor=descriptor,
            cudagraph_runtime_mode=modes[mode],
        ):
            expect_direct(number, f"in mode {mode}")
    # what is run to measure memory is no batch: it has no descriptor
    with subject.context(
        "set_forward_context",
        None,
        batch_descriptor=None,
        cudagraph_runtime_mode=modes["NONE"],
    ):
        expect_direct(5, "in mode NONE without a batch descriptor")
    expect_direct(6, "outside of a forward context again")
    if len(calls) != 6:
        raise Violation("calls of the wrapped callable", expected="6", got=str(len(calls)))


@requirement("GRAPH-006")
@pytest.mark.parametrize("mode", ["PIECEWISE", "FULL_AND_PIECEWISE"])
def test_no_splitting_ops(subject: Subject, mode: str) -> None:
    """Nothing is captured piece by piece where nothing is split."""
    subject.need("cudagraphs")
    try:
        made = _wrapped(subject, "two-layers", cudagraph_mode=mode, splitting_ops=())
    except Violation:
        raise
    except Exception as error:
        if "splitting" not in words_of(error):
            raise Violation(
                f"{mode} without splitting ops is refused, but the error does not say why",
                expected="an error that mentions splitting ops",
                got=str(error)[:300],
            ) from None
        return
    if made:
        raise Violation(
            f"{mode} without splitting ops", expected="an error, or no wrapper", got=str(len(made))
        )
