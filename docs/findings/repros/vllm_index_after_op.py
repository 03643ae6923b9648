"""vLLM 0.33.0: a graph with an index that is computed after the op cannot be split."""

import os

os.environ["VLLM_LOGGING_LEVEL"] = "ERROR"
import torch
from vllm.compilation.backends import split_graph


@torch.library.custom_op("finding::twice", mutates_args=())
def twice(x: torch.Tensor) -> torch.Tensor:
    return x * 2


@twice.register_fake
def _(x):
    return torch.empty_like(x)


def model(x):
    before = x + 1
    after = torch.ops.finding.twice(before)
    return before[after.argsort()]


def backend(graph, inputs):
    split_graph(graph, ["finding::twice"])[0](*inputs)
    return graph


try:
    torch.compile(model, backend=backend, fullgraph=True)(torch.arange(4.0))
except Exception as error:
    print(f"{type(error).__name__}: {str(error)[:300]}")
    raise SystemExit(1) from None
