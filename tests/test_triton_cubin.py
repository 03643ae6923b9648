"""The Triton kernel of the fixtures compiles to machine code of three GPUs, without one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from piecewise_conformance.core import environment

PROGRAM = """
import json, re
import triton, triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from piecewise_fixtures.attention_triton import BLOCK, _kernel

kernel = _kernel()
made = []
for capability in (80, 90, 100):
    for kind, wide in (("fp32", tl.float32), ("fp16", tl.float32), ("bf16", tl.float32),
                       ("fp64", tl.float64)):
        constants = dict(SCALE=0.25, GROUP=2, HEAD_DIM=24, PADDED_DIM=32, BLOCK=BLOCK, WIDE=wide)
        types = {name: "constexpr" for name in constants} | {"starts": "*i32"}
        types |= {name: "*" + kind for name in ("q", "k", "v", "out")}
        signature = {name: types.get(name, "i32") for name in kernel.arg_names}
        source = ASTSource(fn=kernel, signature=signature, constexprs=constants)
        found = triton.compile(source, target=GPUTarget("cuda", capability, 32)).asm
        target = re.search(r"[.]target sm_([0-9]+)", found["ptx"])[1]
        cubin = found["cubin"]
        made.append([capability, kind, int(target), cubin[:4].hex(), cubin[18] + 256 * cubin[19]])
print(json.dumps(made))
"""
EM_CUDA = 190  # the machine in the header of an ELF file that holds code for NVIDIA's GPUs


@pytest.mark.skipif(
    environment.missing("triton") is not None, reason=environment.missing("triton") or ""
)
def test_the_kernel_compiles_to_cubin(tmp_path: Path) -> None:
    """For sm_80, sm_90 and sm_100, and for every type of the tensors that the decoder has."""
    env = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM],
        env={**env, "TRITON_CACHE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    made = json.loads(done.stdout)
    assert made == [
        [capability, kind, capability, b"\x7fELF".hex(), EM_CUDA]
        for capability in (80, 90, 100)
        for kind in ("fp32", "fp16", "bf16", "fp64")
    ]
