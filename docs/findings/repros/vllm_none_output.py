"""vLLM 0.33.0: a piece that writes its input and returns nothing cannot be captured.

Without a GPU: capture stands in for CUDA's, and runs the ops.
"""

import os
from contextlib import contextmanager

os.environ["VLLM_LOGGING_LEVEL"] = "ERROR"
os.environ["VLLM_TARGET_DEVICE"] = "cpu"
import torch
from vllm.compilation import cuda_graph
from vllm.config import CUDAGraphMode, VllmConfig
from vllm.forward_context import BatchDescriptor, set_forward_context
from vllm.platforms import current_platform


class Graph:
    pass


@contextmanager
def capture(graph, **_):
    yield


torch.cuda.CUDAGraph, torch.cuda.graph = Graph, capture
cuda_graph.current_stream = lambda: None
type(current_platform).get_global_graph_pool = lambda self: (0, 0)


def model(x):
    x.add_(1)


config, mode = VllmConfig(), CUDAGraphMode.PIECEWISE
wrapper = cuda_graph.CUDAGraphWrapper(model, config, mode)
batch = {"cudagraph_runtime_mode": mode, "batch_descriptor": BatchDescriptor(num_tokens=4)}
with set_forward_context(None, config, **batch):
    try:
        wrapper(torch.zeros(4))
    except ValueError as error:
        print(f"{type(error).__name__}: {error}")
        raise SystemExit(1) from None
