"""vLLM 0.33.0: what was compiled for one graph is served for another in the same place."""

import os
import tempfile

os.environ["VLLM_LOGGING_LEVEL"] = "ERROR"
os.environ["VLLM_USE_MEGA_AOT_ARTIFACT"] = "0"
import torch
from torch import fx
from vllm.compilation.backends import CompilerManager
from vllm.compilation.compiler_interface import CompilerInterface
from vllm.config import CompilationConfig
from vllm.config.utils import Range

SIZES = Range(1, 8)
made = {}


class Compiler(CompilerInterface):
    name = "kept"

    def compile(self, graph, example_inputs, compiler_config, compile_range, key=None):
        handle = ("artifact", str(len(made)))
        made[handle] = graph.forward
        return graph.forward, handle

    def load(self, handle, graph, example_inputs, graph_index, compile_range):
        return made[handle]


def piece(op):
    graph = fx.Graph()
    graph.output((graph.call_function(op, (graph.placeholder("x"), 3)),))
    return fx.GraphModule({}, graph)


def start(folder, op):
    config = CompilationConfig(backend="eager")
    manager = CompilerManager(config, use_aot_compile=True)
    manager.compiler = Compiler()
    manager.initialize_cache(folder)
    x = torch.ones(4)
    compiled = manager.compile(piece(op), [x], {}, config, SIZES, graph_index=0)
    manager.save_to_file()
    return compiled(x)[0].tolist()


with tempfile.TemporaryDirectory() as folder:
    first, second = start(folder, torch.add), start(folder, torch.mul)
print(f"1 + 3: {first}\n1 * 3: {second}")
raise SystemExit(0 if second == [3.0] * 4 else 1)
