"""Takes one graph through the reference, and writes what is seen into docs/architecture.md.

With ``--json`` the blocks are printed and nothing is written.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from piecewise_fixtures.programs import program
from piecewise_reference import (
    CompilationConfig,
    CompilerInterface,
    VllmBackend,
    VllmConfig,
    record_events,
)
from piecewise_reference.splitting.partition import partition_graph
from torch import fx

DOCUMENT = Path(__file__).parents[2] / "docs" / "architecture.md"
PROGRAM = "advanced-index-after-op"


class Keeping(CompilerInterface):
    """The graph itself is the callable, and it is kept by name: enough to show a cache."""

    name = "keeping"

    def compile(
        self,
        graph: fx.GraphModule,
        example_inputs: list[Any],
        compiler_config: dict[str, Any],
        compile_range: Any,
        key: str | None = None,
    ) -> tuple[Callable[..., Any], Any]:
        """The graph, and its name."""
        return graph, key

    def load(
        self,
        handle: Any,
        graph: fx.GraphModule,
        example_inputs: list[Any],
        graph_index: int,
        compile_range: Any,
    ) -> Callable[..., Any]:
        """The graph."""
        return graph


def show(graph: fx.Graph) -> str:
    """One line a node: its name, what tracing saw, and what it calls."""
    lines = []
    for node in graph.nodes:
        value = node.meta.get("example_value")
        kind = f"  # {list(map(str, value.shape))}" if isinstance(value, torch.Tensor) else ""
        target = node.target if isinstance(node.target, str) else node.target.__name__
        if isinstance(node.target, torch._ops.OpOverloadPacket | torch._ops.OpOverload):
            target = str(node.target)
        args = ", ".join(map(str, node.args))
        kwargs = "".join(f", {name}={given}" for name, given in node.kwargs.items())
        if node.op == "placeholder":
            lines.append(f"{node.name}: input{kind}")
        elif node.op == "output":
            lines.append(f"return {args}")
        else:
            lines.append(f"{node.name} = {target}({args}{kwargs}){kind}")
    return "\n".join(lines).replace("'", "")


def show_plan(graph: fx.Graph, splitting_ops: tuple[str, ...]) -> str:
    """The pieces, with the ops in each."""
    return "\n".join(
        f"piece {number}{' (splitting)' if piece.is_splitting else ''}: "
        + ", ".join(node.name for node in piece.nodes)
        for number, piece in enumerate(partition_graph(graph, splitting_ops).pieces)
    )


def start(root: str) -> tuple[VllmBackend, str]:
    """One start on the cache root: compile, run for two sizes, and tell what happened."""
    chosen = program(PROGRAM)
    os.environ.update(VLLM_CACHE_ROOT=root, VLLM_DISABLE_COMPILE_CACHE="0")
    config = CompilationConfig(
        backend=f"{__name__}.Keeping",
        splitting_ops=list(chosen.splitting_ops),
        compile_sizes=[4],
    )
    backend = VllmBackend(VllmConfig(config, max_num_batched_tokens=16))
    torch._dynamo.reset()
    lines = []
    with record_events() as events, torch.no_grad():
        model = torch.compile(chosen.build(), backend=backend, fullgraph=True)
        for size in (6, 4):
            seen = len(events)
            model(*chosen.mark_dynamic(chosen.inputs(size)))
            lines += [f"a batch of {size}:", *(f"  {event}" for event in events[seen:])]
    return backend, "\n".join(lines).replace(root, "<root>")


def normal(text: str) -> str:
    """``text`` without what differs by run or by release of torch."""
    text = re.sub(r"\b[0-9a-f]{64}\b", "<digest>", text)
    text = re.sub(r"torch_compile_cache/[0-9a-f]{10}", "torch_compile_cache/<hash>", text)
    for number, symbol in enumerate(dict.fromkeys(re.findall(r"\bs\d+\b", text))):
        text = re.sub(rf"\b{symbol}\b", f"s{{{number}}}", text)
    return "\n".join(line.rstrip() for line in re.sub(r"s\{(\d+)\}", r"s\1", text).split("\n"))


def blocks() -> dict[str, str]:
    """Every block of the walk, by its name."""
    with tempfile.TemporaryDirectory() as root:
        backend, first = start(root)
        _, second = start(root)
        files = sorted(path for path in Path(root).rglob("*") if path.is_file())
        listed = "\n".join(str(path.relative_to(root)) for path in files)
        (cache,) = (path for path in files if path.name == "vllm_compile_cache.py")
        found = {
            "program": program(PROGRAM).source(),
            "captured": show(backend.graph.graph),
            "plan": show_plan(backend.graph.graph, program(PROGRAM).splitting_ops),
            "split": show(backend.split_gm.graph),
            "pieces": "\n\n".join(
                f"{item.submod_name} (splitting: {item.is_splitting_graph})\n"
                + show(item.graph.graph)
                for item in backend.piecewise_graphs
            ),
            "first start": first,
            "second start": second,
            "cache folder": listed,
            "cache file": cache.read_text(),
        }
    return {name: normal(text).strip("\n") for name, text in found.items()}


def put(document: str, name: str, text: str) -> str:
    """``document`` with ``text`` between the markers of ``name``."""
    pattern = rf"(<!-- walk: {name} -->\n\n```text\n).*?(\n```)"
    replaced, count = re.subn(
        pattern, lambda found: found[1] + text + found[2], document, flags=re.DOTALL
    )
    if count != 1:
        raise ValueError(f"{count} places for the block {name!r} in {DOCUMENT}")
    return replaced


if __name__ == "__main__":
    made = blocks()
    if "--json" in sys.argv[1:]:
        print(json.dumps(made))
    else:
        document = DOCUMENT.read_text()
        for each, text in made.items():
            document = put(document, each, text)
        DOCUMENT.write_text(document)
