"""vLLM 0.33.0: a size that is passed by keyword is not seen, and the graph cannot be split."""

import os

os.environ["VLLM_LOGGING_LEVEL"] = "ERROR"
import torch
from vllm.compilation.backends import split_graph


def model(x):
    return torch.sin(x) + torch.ones(size=x.size())


def backend(graph, inputs):
    split_graph(graph, ["aten::sin"])
    return graph


x = torch.ones(4, 8)
torch._dynamo.mark_dynamic(x, 0)
try:
    torch.compile(model, backend=backend, fullgraph=True)(x)
except Exception as error:
    print(f"{type(error).__name__}: {str(error)[:300]}")
    raise SystemExit(1) from None
