"""The user's line: which of the frames on the stack a person would want to see."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import torch

_TORCH = str(Path(torch.__file__).parent)
_OWN = str(Path(__file__).parent)
_PLUMBING = (_TORCH, _OWN, str(Path(re.__file__).parent.parent / "contextlib"), "<frozen ")
_GENERATED = "<eval_with_key>"
_LINE = re.compile(r'File "([^"]+)", line (\d+)')


def user_line() -> str:
    """``file:line`` of the innermost frame that is neither torch's nor the emulator's.

    In the code that FX generates for a graph, the line that the op was traced from, where the
    graph knows it.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if name.startswith(_GENERATED):
            if (traced := _traced_from(frame)) is not None:
                return traced
        elif not name.startswith(_PLUMBING) and "contextlib.py" not in name:
            return f"{name}:{frame.f_lineno}"
        frame = frame.f_back
    return ""


def _traced_from(frame: FrameType) -> str | None:
    """The line that the node under way was traced from; None if the graph does not tell."""
    module: Any = frame.f_locals.get("self")
    lines = getattr(module, "_lineno_map", None) or {}
    index = lines.get(frame.f_lineno - (getattr(module, "_prologue_start", 0) or 0))
    graph = getattr(module, "graph", None)
    if index is None or graph is None:
        return None
    nodes = list(graph.nodes)
    if not 0 <= index < len(nodes):
        return None
    found = _LINE.findall(nodes[index].meta.get("stack_trace") or "")
    return f"{found[-1][0]}:{found[-1][1]}" if found else None
