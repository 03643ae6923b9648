"""vLLM 0.33.0: a graph that has an attribute inside of a child module cannot be split."""

import os

os.environ["VLLM_LOGGING_LEVEL"] = "ERROR"
import torch
from torch import fx, nn
from vllm.compilation.backends import split_graph

root = nn.Module()
root.inner = nn.Module()
root.inner.register_buffer("offset", torch.ones(8))
graph = fx.Graph()
x = graph.placeholder("x")
y = graph.call_function(torch.ops.aten.sin.default, (x,))
graph.output((graph.call_function(torch.add, (y, graph.get_attr("inner.offset"))),))
try:
    split_graph(fx.GraphModule(root, graph), ["aten::sin"])
except ValueError as error:
    print(f"{type(error).__name__}: {error}")
    raise SystemExit(1) from None
