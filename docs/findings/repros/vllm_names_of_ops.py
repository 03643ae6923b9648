"""vLLM 0.33.0: an op is not split at by its name if the call is of an overload that has one too."""

import os

os.environ["VLLM_LOGGING_LEVEL"] = "ERROR"
import torch
from torch import fx, nn
from vllm.compilation.backends import split_graph

graph = fx.Graph()
x = graph.placeholder("x")
y = graph.call_function(torch.ops.aten.add.Tensor, (x, x))
graph.output((graph.call_function(torch.sin, (y,)),))
gm = fx.GraphModule(nn.Module(), graph)
found = {
    name: sum(item.is_splitting_graph for item in split_graph(gm, [name])[1])
    for name in ("aten::add", "aten::add.Tensor")
}
print(f"splitting pieces by name: {found}")
raise SystemExit(0 if found["aten::add"] else 1)
