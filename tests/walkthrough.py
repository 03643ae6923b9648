"""One captured graph on its way through the reference, as text for docs/architecture.md.

``python tests/walkthrough.py`` puts it there.
"""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import Any
from unittest.mock import patch

import piecewise_reference as reference
import torch
from piecewise_fixtures.programs import program
from piecewise_reference.cache_file import FILE_NAME
from piecewise_reference.plan import make_plan

DOCUMENT = Path(__file__).parent.parent / "docs" / "architecture.md"
BEGIN, END = "<!-- walk: made by tests/walkthrough.py -->\n", "<!-- end of walk -->\n"
NAME = "advanced-index-after-op"


def _block(text: str) -> str:
    lines = [f"    {line}".rstrip() for line in text.strip("\n").splitlines()]
    return "\n".join(lines) + "\n"


def _code(module: Any) -> str:
    kept = [line for line in module.code.splitlines() if line.strip()]
    return re.sub(r";  [^\n]* = None", "", "\n".join(kept))


def _start(root: str) -> tuple[Any, list[Any]]:
    """One start with Inductor and its cache under ``root``: the backend, and its events."""
    torch._dynamo.reset()
    chosen = program(NAME)
    config = reference.VllmConfig(
        reference.CompilationConfig(
            splitting_ops=list(chosen.splitting_ops), compile_ranges_endpoints=[4]
        ),
        max_num_batched_tokens=64,
    )
    with (
        patch.dict(
            os.environ,
            {"VLLM_CACHE_ROOT": f"{root}/cache", "TORCHINDUCTOR_CACHE_DIR": f"{root}/inductor"},
        ),
        reference.record_events() as events,
        torch.no_grad(),
    ):
        backend = reference.VllmBackend(config)
        model = torch.compile(chosen.build(), backend=backend, fullgraph=True)
        model(*chosen.mark_dynamic(chosen.inputs(6)))
    return backend, events


def _events(events: list[Any]) -> str:
    return "\n".join(re.sub(r"path='[^']*'", "path=...", repr(each)) for each in events)


def _tree(root: str) -> str:
    """The files below ``root``, without locks."""
    paths = sorted(
        path.relative_to(root).as_posix()
        for path in Path(root).rglob("*")
        if path.is_file() and path.suffix != ".lock"
    )
    return "\n".join(paths)


def stable(text: str) -> str:
    """``text`` without what differs between releases and machines: digests and symbol names."""
    text = re.sub(r"\b[0-9a-f]{10,64}\b", "<digest>", text)
    names: dict[str, str] = {}
    return re.sub(r"\bs\d+\b", lambda m: names.setdefault(m[0], f"s{len(names)}"), text)


def render() -> str:
    """The walk, as Markdown."""
    with tempfile.TemporaryDirectory() as root:
        backend, first = _start(root)
        _, second = _start(root)
        tree = _tree(f"{root}/cache")
        (cache_file,) = Path(root, "cache").rglob(FILE_NAME)
        entries = cache_file.read_text()
    plan = make_plan(backend.graph.graph, backend.compilation_config.splitting_ops)
    planned = "\n".join(
        f"piece {number} ({'splitting' if piece.is_splitting else 'compiled'}): "
        + ", ".join(node.name for node in piece.nodes)
        for number, piece in enumerate(plan.pieces)
    )
    pieces = "\n\n".join(
        f"# {item.submod_name}\n{_code(item.graph)}" for item in backend.piecewise_graphs
    )
    sections = [
        ("Dynamo hands over this graph; the op writes `out` in place:", _code(backend.graph)),
        ("`make_plan` decides which op runs in which piece:", planned),
        (
            "`stitch` builds a graph over all. Only leaves cross: every piece takes tensors and "
            "sizes and returns a flat tuple.",
            _code(backend.split_gm),
        ),
        ("And a graph for each piece:", pieces),
        (
            "The interpreter puts a `PiecewiseBackend` in each piece that is compiled. A batch of "
            "six tokens arrives; the range that serves it is compiled and saved, piece by piece:",
            _events(first),
        ),
        ("The second process finds all of it:", _events(second)),
        ("What lies on the disk:", tree),
        ("And in the cache file:", entries),
    ]
    return stable("\n".join(f"{text}\n\n{_block(code)}" for text, code in sections))


def document() -> str:
    """docs/architecture.md with the walk as it is now."""
    text = DOCUMENT.read_text()
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    return before + BEGIN + "\n" + render() + END + after


if __name__ == "__main__":
    DOCUMENT.write_text(document())
