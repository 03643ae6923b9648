"""Attention as a Triton kernel, interpreted on the CPU, beside attention in plain torch."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from piecewise_conformance.core import environment

# The interpreter must be chosen before triton is imported, and not for the tests beside this one.
PROGRAM = """
import itertools
import torch
from piecewise_fixtures.attention_triton import attention_triton, triton_missing
from piecewise_fixtures.forward_context import ForwardContext
from piecewise_fixtures.ops import attention_torch

assert triton_missing() is None, triton_missing()
SHAPES = [  # query heads, heads of keys, size of a head
    (2, 2, 8),
    (4, 2, 8),
    (4, 1, 5),  # no power of two
]
CONTEXTS = [
    ForwardContext((1,)),
    ForwardContext((7,)),
    ForwardContext((3, 1, 2)),
    ForwardContext((3, 0, 2), scale=0.25),
    ForwardContext(()),  # nothing but padding
    ForwardContext((18,)),  # more than a block of keys
]
FLOATS = [(torch.float32, 1e-5), (torch.float64, 1e-12), (torch.float16, 2e-3)]
compared = 0
for number, ((heads, kv_heads, dim), context) in enumerate(itertools.product(SHAPES, CONTEXTS)):
    padding, (dtype, bound) = number % 3, FLOATS[number % len(FLOATS)]
    tokens = sum(context.seq_lens) + padding
    random = torch.Generator().manual_seed(number)
    def made(count):
        # rows with a gap behind each, as slices of one projection have
        wide = torch.randn(tokens, count, dim + 1, generator=random, dtype=torch.float64)
        return wide.to(dtype)[..., :dim]
    q, k, v = made(heads), made(kv_heads), made(kv_heads)
    expected = torch.full_like(q, 7)
    got = torch.full_like(q, 9)
    attention_torch(q, k, v, expected, context)
    attention_triton(q, k, v, got, context)
    torch.testing.assert_close(got, expected, rtol=bound, atol=bound)
    assert not got[sum(context.seq_lens):].any(), "padding is not zero"
    compared += 1
print("compared", compared)
"""


@pytest.mark.skipif(
    environment.missing("triton") is not None, reason=environment.missing("triton") or ""
)
def test_the_kernel_equals_plain_torch() -> None:
    """For shared heads, odd sizes, several sequences, empty ones, and padding, which is zero."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split() == ["compared", "18"]


def test_without_the_interpreter_the_reason_is_told() -> None:
    """In a process in which nobody asked for it, the kernel refuses CPU tensors and says why."""
    code = (
        "import torch\n"
        "from piecewise_fixtures.attention_triton import *\n"
        "from piecewise_fixtures.forward_context import ForwardContext\n"
        "x = torch.zeros(1, 1, 4)\n"
        "try: attention_triton(x, x, x, x.clone(), ForwardContext((1,)))\n"
        "except TritonUnavailable as error: print(error)\n"
    )
    env = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "TRITON_INTERPRET=1" in done.stdout or "not installed" in done.stdout
