"""Install compiled pieces in the split graph, and find them there.

The children of the split graph are the uncompiled pieces. They stay, so that the graph can be read
and printed. The compiled piece is an instance attribute with the name of the child, which Python
finds before ``nn.Module`` looks up the child.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn


def install(split_gm: nn.Module, name: str, runnable: Callable[..., Any]) -> None:
    """Make ``split_gm`` call ``runnable`` instead of its child ``name``."""
    split_gm.__dict__[name] = runnable


def installed(split_gm: nn.Module, name: str) -> Callable[..., Any] | None:
    """The callable that replaces the child ``name``; None if the child itself is called."""
    return split_gm.__dict__.get(name)
