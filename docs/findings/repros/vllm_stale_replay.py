"""vLLM 0.33.0: a captured graph replayed for an input at another address computes with the old one.

Without a GPU: capture and replay stand in for CUDA's, and run the same ops on the same tensors.
"""

import os
from contextlib import contextmanager

os.environ["VLLM_LOGGING_LEVEL"] = "ERROR"
os.environ["VLLM_TARGET_DEVICE"] = "cpu"
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from vllm.compilation import cuda_graph
from vllm.config import CUDAGraphMode, VllmConfig
from vllm.forward_context import BatchDescriptor, set_forward_context
from vllm.platforms import current_platform


class Graph(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.tape = []

    def __torch_dispatch__(self, op, types, args=(), kwargs=None):
        out = op(*args, **(kwargs or {}))
        self.tape.append((op, args, kwargs or {}, out))
        return out

    def replay(self):
        for op, args, kwargs, out in self.tape:
            out.copy_(op(*args, **kwargs))


@contextmanager
def capture(graph, **_):
    with graph:
        yield


torch.cuda.CUDAGraph, torch.cuda.graph = Graph, capture
cuda_graph.current_stream, cuda_graph.weak_ref_tensors = lambda: None, lambda tensors: tensors
type(current_platform).get_global_graph_pool = lambda self: (0, 0)

config, mode = VllmConfig(), CUDAGraphMode.PIECEWISE
wrapper = cuda_graph.CUDAGraphWrapper(lambda x: x * 2, config, mode)


def call(x):
    batch = {"cudagraph_runtime_mode": mode, "batch_descriptor": BatchDescriptor(num_tokens=4)}
    with set_forward_context(None, config, **batch):
        return wrapper(x).tolist()


kept = torch.arange(4.0)
call(kept)  # captures
kept += 1
print(f"same address:  {kept.tolist()} doubled is {call(kept)}")
other = torch.full((4,), 10.0)
stale = call(other)
print(f"other address: {other.tolist()} doubled is {stale}")
raise SystemExit(0 if stale == [20.0] * 4 else 1)
