"""Memory: splitting, stitching, copying and serializing copy no weight. Peak RSS, in a process of
its own.

The weights are 4 GB of a file without content, mapped and not read: a copy of them would show.
"""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

WEIGHT_MB = 4096

_BEGIN = f"""
import os
import resource
import tempfile
import torch
from torch import fx

file = tempfile.NamedTemporaryFile()
os.truncate(file.name, {WEIGHT_MB} * 2**20)
weights = torch.from_file(file.name, shared=True, size={WEIGHT_MB} * 2**18).chunk(16)

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
"""

_SPLIT = """
from piecewise_reference import make_copy_and_call, split_graph
from piecewise_reference.fastpath.direct_call import direct_call

root = torch.nn.Module()
graph = fx.Graph()
x = graph.placeholder("x")
for i in range(16):
    root.register_parameter(f"w{i}", torch.nn.Parameter(weights[i], requires_grad=False))
    x = graph.call_function(torch.ops.aten.sin.default, (x,)) if i % 2 else x
    x = graph.call_function(torch.add, (x, graph.get_attr(f"w{i}")))
    x = graph.call_function(torch.narrow, (x, 0, 0, 4))
graph.output((x,))
gm = fx.GraphModule(root, graph)

before = peak()
split_gm, items = split_graph(gm, ["aten::sin"])
line = direct_call(split_gm)
call = make_copy_and_call([0], [None], lambda x: x)
call(torch.ones(4))
print(peak() - before)
shared = {each.data_ptr() for each in gm.parameters()}
assert {each.data_ptr() for each in split_gm.parameters()} == shared
"""

# Captured by Dynamo, whose weights are inputs of the graph; never called, which would read them.
_SERIALIZE = """
from piecewise_reference import (
    CompilationConfig,
    VllmBackend,
    VllmConfig,
    serialize_compile_artifacts,
)

class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        own = (torch.nn.Parameter(each, requires_grad=False) for each in weights)
        self.weights = torch.nn.ParameterList(own)

    def forward(self, x):
        for weight in self.weights:
            x = torch.sin(x[:4] + weight[:4]) * 2
        return x

class Kept(Exception):
    pass

chosen = CompilationConfig(backend="eager", splitting_ops=["aten::sin"])
made = []

def backend(graph, example_inputs):
    made.append(VllmBackend(VllmConfig(compilation_config=chosen))(graph, example_inputs))
    raise Kept

before = peak()
try:
    torch.compile(Model(), backend=backend, fullgraph=True)(torch.ones(4))
except Exception as error:
    assert made, error
data = serialize_compile_artifacts(made[0])
print(peak() - before)
assert len(data) < 2**24, len(data)
"""


@pytest.mark.parametrize("name", ["split, stitch and copy", "serialize"])
def test_weights_are_not_copied(benchmark: Any, name: str) -> None:
    program = _BEGIN + (_SERIALIZE if name == "serialize" else _SPLIT)

    def measured() -> float:
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        )
        return float(done.stdout)

    grown = measured()
    assert grown < WEIGHT_MB / 16, f"{grown:.0f} MB more than before: a weight was copied"
    group = f"memory of weights: {name}"
    benchmark.group = group
    benchmark.extra_info.update(
        by="reference", group=group, size=WEIGHT_MB, unit="MB", order=None, grown_mb=grown
    )
    benchmark.pedantic(measured, rounds=1, iterations=1)
