"""CUDA graphs on a CPU: capture and replay of what torch launches, and what goes wrong with them.

    with emulate() as emulation:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            y = x * 2
        x.fill_(3)
        graph.replay()

A replay reads the captured places, writes into the captured results and repeats no Python. It is
stricter than a device: memory that a pool may give away is poisoned, and what real CUDA lets pass
in silence is an exception that names the op and the user's line.
"""

from .context import emulate
from .device import Emulation
from .errors import (
    CaptureError,
    DeadMemory,
    ForeignAllocation,
    HostSync,
    NotEmulated,
    PythonEffect,
    StaleInput,
    StaticGraphError,
)
from .graph import ChangedInput
from .memory import weak_ref_tensor, weak_ref_tensors
from .opaque import opaque

__all__ = [
    "CaptureError",
    "ChangedInput",
    "DeadMemory",
    "Emulation",
    "ForeignAllocation",
    "HostSync",
    "NotEmulated",
    "PythonEffect",
    "StaleInput",
    "StaticGraphError",
    "emulate",
    "opaque",
    "weak_ref_tensor",
    "weak_ref_tensors",
]
