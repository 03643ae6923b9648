"""SGLang 0.5.23: making a config changes Inductor's settings and the environment."""

import os
import sys
import tempfile
import types

import torch
import torch._inductor.config

stub = types.ModuleType("sglang.srt.model_executor.runner_backend_utils.weak_ref_tensor")
stub.weak_ref_tensor = stub.weak_ref_tensors = lambda each: each  # its own needs a GPU
sys.modules[stub.__name__] = stub
from sglang.srt.compilation.backend import CompilerManager
from sglang.srt.compilation.compilation_config import CompilationConfig


def state():
    names = ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR")
    return torch._inductor.config.combo_kernels, *(os.environ.get(name) for name in names)


before = state()
CompilerManager(CompilationConfig([], "inductor")).initialize_cache(tempfile.mkdtemp())
print(f"before: {before}\nafter: {state()}")
raise SystemExit(1 if state() != before else 0)
