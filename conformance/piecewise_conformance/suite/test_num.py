"""NUM: the numbers that come out."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from piecewise_conformance.core.marks import needs, requirement, slow, together
from piecewise_conformance.core.verdict import Violation
from piecewise_conformance.isolation.child import call_in_child
from piecewise_conformance.subject.subject import Subject
from piecewise_conformance.testkit.drive import drive
from piecewise_conformance.testkit.models.llama import DECODER, decoder, first_start, run_decoder
from piecewise_fixtures.forward_context import ForwardContext, set_forward_context
from piecewise_fixtures.programs import program


@requirement("NUM-001")
@needs("transformers")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
def test_decoder(subject: Subject, dtype: torch.dtype) -> None:
    """The decoder at five sizes, one token included."""
    run_decoder(subject, decoder(dtype), (7, 2, 33, 64, 1))


@requirement("NUM-001")
@needs("transformers")
def test_decoder_with_ranges(subject: Subject) -> None:
    """The decoder with ranges, a single size and copied inputs."""
    run_decoder(
        subject,
        decoder(),
        (33, 12, 3, 8, 8),  # the largest first: copied inputs need not grow
        compile_ranges_endpoints=(8, 16),
        compile_sizes=(8,),
        copy_inputs=True,
    )


@requirement("NUM-002")
@needs("transformers", "inductor")
@together("the decoder with Inductor")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
def test_decoder_with_inductor(subject: Subject, dtype: torch.dtype) -> None:
    """The decoder compiled by Inductor, within the oracle's factor of a float64 run."""
    run_decoder(subject, decoder(dtype), (7, 2, 33), compiler="inductor")


@requirement("NUM-003")
@needs("transformers")
def test_context_is_read(subject: Subject) -> None:
    """The same tokens as one sequence, as two, and with padding: results change as uncompiled."""
    driven = drive(subject, decoder())
    for lengths in ((12,), (5, 7), (5, 4), (12,), (1,) * 12):
        with set_forward_context(ForwardContext(seq_lens=lengths)):
            driven.check(12)


@requirement("NUM-003")
@needs("transformers")
def test_context_scale_is_read(subject: Subject) -> None:
    """A number in the context, too, is read at each call."""
    driven = drive(subject, decoder())
    for scale in (0.25, 0.5, None, 0.25):
        with set_forward_context(ForwardContext(seq_lens=(7,), scale=scale)):
            driven.check(7)


@requirement("NUM-004")
@pytest.mark.parametrize("name", ["nan-and-inf"])
def test_nan_and_infinities(subject: Subject, name: str) -> None:
    """NaN and infinities are where they are uncompiled."""
    driven = drive(subject, program(name))
    for size in program(name).sizes:
        driven.check(size)


INDUCTOR = [
    "advanced-index-after-op",
    "two-outputs",
    "input-updated-around-op",
    "view-updated-across-op",
    "slice-and-view-updated",
    "two-symbols",
    "float-dtypes",
    "one-tuple",
    "derived-before-batch",
    "topk-across-op",
    "nan-and-inf",
]


@requirement("NUM-005")
@needs("inductor")
@pytest.mark.parametrize("name", INDUCTOR)
def test_program_with_inductor(subject: Subject, name: str) -> None:
    """The program compiled by Inductor, at two sizes."""
    driven = drive(subject, program(name), compiler="inductor")
    for size in program(name).sizes[:2]:
        driven.check(size)


@requirement("NUM-005")
@needs("inductor")
@pytest.mark.parametrize("name", ["strided-input", "pitched-input"])
def test_single_size_with_inductor(subject: Subject, name: str) -> None:
    """A single size compiled for constants, with strided inputs, beside its range."""
    driven = drive(subject, program(name), compiler="inductor", compile_sizes=(4,))
    for size in (6, 4, 9, 4):
        driven.check(size)


@requirement("NUM-005")
@needs("inductor")
def test_single_size_beside_another(subject: Subject) -> None:
    """What was compiled for a single size of the batch serves every other size beside it."""
    driven = drive(subject, program("second-size-varies"), compiler="inductor", compile_sizes=(4,))
    for size in (6, 9, 1, 6):
        driven.check(size)


@requirement("NUM-006")
@needs("transformers", "triton")
@slow
def test_triton_attention(subject: Subject) -> None:
    """The decoder whose attention runs as a Triton kernel, interpreted in a process of its own."""
    call_in_child(
        subject,
        "piecewise_conformance.testkit.models.llama:with_triton_attention",
        TRITON_INTERPRET="1",
    )


@requirement("NUM-007")
@slow
@together("the decoder with Inductor")
@needs("inductor")
@pytest.mark.parametrize(
    "name", ["linear-chain", pytest.param(DECODER, marks=needs("transformers"))]
)
def test_second_process(subject: Subject, tmp_path: Path, name: str) -> None:
    """A model with Inductor: a first start, then one from the cache, one from the function."""
    subject.get("record_events")
    root, kept = str(tmp_path / "cache"), str(tmp_path / "function")
    first = first_start(subject, name, root, kept if subject.offers("serialize") else None)
    ways = {"the cache": root}
    if subject.offers("deserialize"):
        ways["the serialized function"] = kept
    for what, path in ways.items():
        compiles, outputs = call_in_child(
            subject,
            "piecewise_conformance.testkit.models.llama:second_start",
            name,
            path,
            what == "the cache",
        )
        if compiles:
            raise Violation(f"a start from {what}", expected="0 compiles", got=str(compiles))
        if outputs != first:
            raise Violation(
                f"the outputs of a start from {what}",
                expected="those of the first start, to the bit",
                got="different bits",
            )
