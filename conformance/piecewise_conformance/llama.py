"""The Llama decoder of the fixtures as a program, and ways to run it."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from piecewise_fixtures.forward_context import ForwardContext, set_forward_context
from piecewise_fixtures.programs import Program

from .drive import drive
from .subject import Subject


@cache
def decoder(dtype: torch.dtype = torch.float32, layers: int = 2, device: str = "cpu") -> Program:
    """The decoder, with weights and inputs on ``device``."""
    from piecewise_fixtures.llama import SPLITTING_OPS, build_llama, llama_inputs

    class Decoder(torch.nn.Module):
        def __new__(cls) -> Any:
            return build_llama(layers=layers, dtype=dtype).to(device)

    return Program(
        f"llama-{dtype}-{device}",
        "a Llama decoder whose attention is a splitting op",
        Decoder,
        lambda count: tuple(each.to(device) for each in llama_inputs(count, seed=count)),
        tuple(SPLITTING_OPS),
        (7, 2, 12, 33),
        ((0, 0), (1, 0)),
    )


def one_sequence(count: int) -> ForwardContext:
    """The context in which a batch is one sequence."""
    return ForwardContext(seq_lens=(count,))


def run_decoder(subject: Subject, chosen: Program, sizes: tuple[int, ...], **changes: Any) -> None:
    """The decoder at ``sizes``, each batch one sequence."""
    driven = drive(subject, chosen, **changes)
    for size in sizes:
        with set_forward_context(one_sequence(size)):
            driven.check(size)


def with_triton_attention(subject: Subject) -> None:
    """For a fresh process: the decoder with the Triton kernel for its attention."""
    from piecewise_fixtures.ops import set_attention_implementation

    with set_attention_implementation("triton"):
        run_decoder(subject, decoder(), (7, 3))
