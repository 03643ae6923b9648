"""Switches of Dynamo, and what functionalization makes of a split."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import torch
import torch._dynamo.config as dynamo_config
from torch import fx
from torch._dynamo.backends.common import aot_autograd

from .registry import probe

_DISABLED = """
import torch
try:
    torch.compile(lambda x: x + 1, fullgraph=True, backend="eager")(torch.ones(2))
except Exception as error:
    print("raises", type(error).__name__)
else:
    print("runs eagerly")
"""


@probe("compile-disabled-fullgraph")
def disabled() -> str:
    """What ``fullgraph=True`` does where TORCH_COMPILE_DISABLE is set."""
    done = subprocess.run(
        [sys.executable, "-c", _DISABLED],
        env={**os.environ, "TORCH_COMPILE_DISABLE": "1"},
        capture_output=True,
        text=True,
    )
    return (done.stdout.splitlines() or [f"exit status {done.returncode}"])[-1]


@probe("enable-aot-compile")
def aot_compile() -> str:
    """The default of the setting."""
    return str(getattr(dynamo_config, "enable_aot_compile", "no such setting"))


def _functionalized(function: Any) -> str:
    found: list[str] = []

    def compiler(graph: fx.GraphModule, _: Any) -> Any:
        found.extend(str(each.target) for each in graph.graph.nodes if each.op == "call_function")
        return graph.forward

    x = torch.ones(6, 4)
    with torch.no_grad():
        torch.compile(function, backend=aot_autograd(fw_compiler=compiler), fullgraph=True)(x)
    names = [name.partition("[")[0] for name in found if "getitem" not in name]
    return ", ".join(dict.fromkeys(names))


@probe("functionalized-split")
def split() -> str:
    """The ops that ``split_with_sizes`` becomes."""

    def function(x: torch.Tensor) -> torch.Tensor:
        first, second = torch.split(x, [2, 4])
        return first.sum() + second.sum()

    return _functionalized(function)


@probe("functionalized-split-written")
def split_written() -> str:
    """The ops that ``split_with_sizes`` becomes where a part is written."""

    def function(x: torch.Tensor) -> torch.Tensor:
        first, second = torch.split(x + 1, [2, 4])
        first.mul_(2)
        return first.sum() + second.sum()

    return _functionalized(function)
