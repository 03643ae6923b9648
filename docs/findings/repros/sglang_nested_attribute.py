"""SGLang 0.5.23: a graph that reads an attribute of a child module cannot be split."""

import sys
import types

import torch
from torch import fx, nn

stub = types.ModuleType("sglang.srt.model_executor.runner_backend_utils.weak_ref_tensor")
stub.weak_ref_tensor = stub.weak_ref_tensors = lambda each: each  # its own needs a GPU
sys.modules[stub.__name__] = stub
from sglang.srt.compilation.backend import split_graph

root = nn.Module()
root.inner = nn.Module()
root.inner.register_buffer("offset", torch.ones(8))
graph = fx.Graph()
x = graph.placeholder("x")
graph.output(graph.call_function(torch.add, (x, graph.get_attr("inner.offset"))))
try:
    split_graph(fx.GraphModule(root, graph), [])
except ValueError as error:
    print(f"ValueError: {error}")
    raise SystemExit(1) from None
