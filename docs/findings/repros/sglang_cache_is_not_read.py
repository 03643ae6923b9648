"""SGLang 0.5.23: what was compiled and saved is compiled again, and a torn file ends the start."""

import sys
import tempfile
import types
from pathlib import Path

import torch
from torch import fx, nn

stub = types.ModuleType("sglang.srt.model_executor.runner_backend_utils.weak_ref_tensor")
stub.weak_ref_tensor = stub.weak_ref_tensors = lambda each: each  # its own needs a GPU
sys.modules[stub.__name__] = stub
from sglang.srt.compilation.backend import CompilerManager
from sglang.srt.compilation.compilation_config import CompilationConfig
from sglang.srt.compilation.compiler_interface import CompilerInterface


class Counting(CompilerInterface):
    name = "counting"
    compiles = 0

    def compile(self, graph, *rest):
        Counting.compiles += 1
        return graph, ("key", "path")

    def load(self, handle, graph, *rest):
        return graph


def start():
    manager = CompilerManager(CompilationConfig([]))
    manager.compiler = Counting()
    manager.initialize_cache(str(folder))
    return manager


graph = fx.Graph()
graph.output(graph.call_function(torch.neg, (graph.placeholder("x"),)))
piece = fx.GraphModule(nn.Module(), graph)
folder = Path(tempfile.mkdtemp())
for _ in range(2):
    manager = start()
    manager.compile(piece, [torch.ones(2)], {})
    manager.save_to_file()
print(f"compiles in two starts: {Counting.compiles}")
try:
    start().load(piece, [torch.ones(2)], 5, 3)
    missing = "None"
except KeyError as error:
    missing = f"KeyError {error}"
print(f"load of what was never compiled: {missing}")
(folder / "sglang_compile_cache.py").write_text("{(None, 0")
try:
    start()
    torn = "accepted"
except Exception as error:
    torn = type(error).__name__
print(f"a start on a torn file: {torn}")
raise SystemExit(1 if Counting.compiles > 1 or missing != "None" or torn != "accepted" else 0)
