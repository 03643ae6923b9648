"""vLLM 0.33.0: an index of a tensor is taken before the in-place splitting op has written it."""

import os

os.environ["VLLM_LOGGING_LEVEL"] = "ERROR"
import torch
from vllm.compilation.backends import split_graph


@torch.library.custom_op("finding::write", mutates_args=("out",))
def write(x: torch.Tensor, out: torch.Tensor) -> None:
    out.copy_(x * 10)


def model(x, rows):
    out = torch.zeros_like(x)
    torch.ops.finding.write(x, out)
    return out[rows]


got = []


def backend(graph, inputs):
    def run(*args):
        got.append((graph(*args)[0], split_graph(graph, ["finding::write"])[0](*args)[0]))
        return graph(*args)

    return run


torch.compile(model, backend=backend, fullgraph=True)(torch.arange(4.0), torch.tensor([0, 1, 3]))
whole, split = got[0]
print(f"the graph: {whole.tolist()}\nsplit:     {split.tolist()}")
raise SystemExit(0 if torch.equal(whole, split) else 1)
