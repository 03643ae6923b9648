"""vLLM 0.33.0: an allocation in the shape of a splitting op's result is a piece to be captured."""

import os

os.environ["VLLM_LOGGING_LEVEL"] = "ERROR"
import torch
from vllm.compilation.backends import split_graph


@torch.library.custom_op("finding::scaled", mutates_args=())
def scaled(x: torch.Tensor) -> torch.Tensor:
    return x * 2


@scaled.register_fake
def _(x):
    return torch.empty_like(x)


@torch.library.custom_op("finding::write", mutates_args=("out",))
def write(x: torch.Tensor, out: torch.Tensor) -> None:
    out.copy_(x)


def model(x):
    y = torch.ops.finding.scaled(x + 1)
    out = torch.empty_like(y)
    torch.ops.finding.write(y, out)
    return out + 1


without = []


def backend(graph, inputs):
    for item in split_graph(graph, ["finding::scaled", "finding::write"])[1]:
        ops = [node.name for node in item.graph.graph.nodes if node.op.startswith("call")]
        if not item.is_splitting_graph and ops == ["empty_like"]:
            without.append(item.submod_name)
    return graph


torch.compile(model, backend=backend, fullgraph=True)(torch.ones(4, 8))
print(f"pieces that are captured, and launch nothing: {without}")
raise SystemExit(1 if without else 0)
