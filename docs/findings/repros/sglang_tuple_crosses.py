"""SGLang 0.5.23: the tuple of an op, and the shape of a tensor, cross whole into the next piece."""

import sys
import types

import torch

stub = types.ModuleType("sglang.srt.model_executor.runner_backend_utils.weak_ref_tensor")
stub.weak_ref_tensor = stub.weak_ref_tensors = lambda each: each  # its own needs a GPU
sys.modules[stub.__name__] = stub
from sglang.srt.compilation.backend import split_graph


@torch.library.custom_op("finding::halves", mutates_args=())
def halves(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return x[:, :4].clone(), x[:, 4:].clone()


@halves.register_fake
def _(x):
    return torch.empty_like(x[:, :4]), torch.empty_like(x[:, 4:])


class Model(torch.nn.Module):
    def forward(self, x):
        first, second = torch.ops.finding.halves(x + 1)
        return first * second


seen = set()
split, pieces = split_graph(torch.fx.symbolic_trace(Model()), ["finding.halves"])
for piece in pieces:
    piece.graph.register_forward_hook(
        lambda module, args, output, name=piece.submod_name: seen.update(
            (name, type(each).__name__) for each in args
        )
    )
split(torch.ones(2, 8))
crossed = sorted(each for each in seen if each[1] != "Tensor")
print(f"inputs of pieces that are no tensor: {crossed}")
raise SystemExit(1 if crossed else 0)
