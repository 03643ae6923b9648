"""The Llama decoder of the fixtures as a program, and ways to run it."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

import torch
from piecewise_fixtures.forward_context import ForwardContext, set_forward_context
from piecewise_fixtures.programs import Program, program

from ...core.options import Options
from ...subject.subject import Subject
from .. import serialized
from ..compiling import counting_generated_code
from ..drive import Driven, drive, options_for


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


_STARTS: dict[str, Any] = {"compiler": "inductor", "collect_artifacts": True}
DECODER = "decoder"  # beside the names of programs


def _chosen(name: str) -> Program:
    return decoder() if name == DECODER else program(name)


def _bits(driven: Driven) -> list[str]:
    """A digest of the program's output at three sizes, which is checked as well."""
    digests = []
    for size in driven.program.sizes[:3]:
        with set_forward_context(one_sequence(size)), torch.no_grad():
            driven.check(size)
            (output,) = torch.utils._pytree.tree_leaves(
                driven.compiled(*driven.program.inputs(size))
            )
            digests.append(hashlib.sha256(output.contiguous().numpy().tobytes()).hexdigest())
    return digests


def first_start(subject: Subject, name: str, root: str, kept: str | None) -> list[str]:
    """A program with Inductor and its cache under ``root``; the function goes to ``kept``."""
    chosen = _chosen(name)
    asked = options_for(subject, chosen, cache_root=root, **_STARTS)
    keeping = serialized.Keeping(subject.backend(asked))
    digests = _bits(Driven(subject, chosen, asked, keeping))
    if kept is not None:
        Path(kept).write_bytes(serialized.to_bytes(subject, keeping.function, asked))
    return digests


def second_start(subject: Subject, name: str, path: str, by_cache: bool) -> tuple[int, list[str]]:
    """For a fresh process: for how many graphs Inductor generated code, and digests as of
    ``first_start``.
    """
    chosen = _chosen(name)
    with counting_generated_code() as generated:
        if by_cache:
            driven = drive(subject, chosen, cache_root=path, **_STARTS)
        else:
            asked: Options = options_for(subject, chosen, **_STARTS)
            function = serialized.from_bytes(subject, Path(path).read_bytes(), asked)
            driven = Driven(subject, chosen, asked, lambda graph, example_inputs: function)
        digests = _bits(driven)
        return len(generated), digests
