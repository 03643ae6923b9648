"""GPU: the decoder on a CUDA device."""

from __future__ import annotations

import pytest
import torch
from piecewise_conformance.core.marks import needs, requirement
from piecewise_conformance.subject.subject import Subject
from piecewise_conformance.testkit.cudagraphs import llama_graphs
from piecewise_conformance.testkit.models.llama import decoder, run_decoder

dtypes = pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float16, torch.bfloat16], ids=["float32", "float16", "bfloat16"]
)


@requirement("GPU-001")
@needs("gpu", "transformers")
@dtypes
def test_decoder_on_gpu(subject: Subject, dtype: torch.dtype) -> None:
    """Pieces as they are, at five sizes."""
    run_decoder(subject, decoder(dtype, device="cuda"), (7, 2, 33, 64, 1))


@requirement("GPU-002")
@needs("gpu", "transformers", "inductor")
@dtypes
def test_decoder_on_gpu_with_inductor(subject: Subject, dtype: torch.dtype) -> None:
    """Compiled by Inductor, within the oracle's factor."""
    run_decoder(subject, decoder(dtype, device="cuda"), (7, 2, 33), compiler="inductor")


@requirement("GPU-003")
@needs("gpu", "transformers")
@dtypes
def test_decoder_in_graphs(subject: Subject, dtype: torch.dtype) -> None:
    """Its pieces captured at three sizes, and replayed in another order."""
    llama_graphs.piecewise(subject, "cuda", dtype)


@requirement("GPU-004")
@needs("gpu", "transformers")
@dtypes
def test_decoder_in_one_graph(subject: Subject, dtype: torch.dtype) -> None:
    """The whole captured at three sizes, and replayed with new tokens in place."""
    llama_graphs.whole(subject, "cuda", dtype)
