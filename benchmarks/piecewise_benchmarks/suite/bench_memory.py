"""Memory: splitting, stitching and copying copy no weight. Peak RSS, in a process of its own.

The weights are 4 GB of a file without content, mapped and not read: a copy of them would show.
"""

from __future__ import annotations

import subprocess
import sys
from typing import Any

WEIGHT_MB = 4096

_PROGRAM = f"""
import os
import resource
import tempfile
import torch
from torch import fx
from piecewise_reference import make_copy_and_call, split_graph
from piecewise_reference.straight_line import straight_line

file = tempfile.NamedTemporaryFile()
os.truncate(file.name, {WEIGHT_MB} * 2**20)
weights = torch.from_file(file.name, shared=True, size={WEIGHT_MB} * 2**18).chunk(16)
root = torch.nn.Module()
graph = fx.Graph()
x = graph.placeholder("x")
for i in range(16):
    root.register_parameter(f"w{{i}}", torch.nn.Parameter(weights[i], requires_grad=False))
    x = graph.call_function(torch.ops.aten.sin.default, (x,)) if i % 2 else x
    x = graph.call_function(torch.add, (x, graph.get_attr(f"w{{i}}")))
    x = graph.call_function(torch.narrow, (x, 0, 0, 4))
graph.output((x,))
gm = fx.GraphModule(root, graph)

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

before = peak()
split_gm, items = split_graph(gm, ["aten::sin"])
line = straight_line(split_gm)
call = make_copy_and_call([0], [None], lambda x: x)
call(torch.ones(4))
print(peak() - before)
shared = {{each.data_ptr() for each in gm.parameters()}}
assert {{each.data_ptr() for each in split_gm.parameters()}} == shared
"""


def test_weights_are_not_copied(benchmark: Any) -> None:
    def measured() -> float:
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True
        )
        return float(done.stdout)

    grown = measured()
    assert grown < WEIGHT_MB / 16, f"{grown:.0f} MB more than before: a weight was copied"
    benchmark.group = "memory"
    benchmark.extra_info.update(
        by="reference", group="memory", size=WEIGHT_MB, unit="MB", order=None, grown_mb=grown
    )
    benchmark.pedantic(measured, rounds=1, iterations=1)
