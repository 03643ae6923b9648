"""Where the compiled pieces stand in the split graph: the one place that puts them there.

The children of the split graph are the plain pieces, and stay for whoever reads or prints the
graph. What is called instead of a child is an instance attribute of the same name: Python finds it
before ``nn.Module`` looks for the child.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn


def install(split_gm: nn.Module, name: str, runnable: Callable[..., Any]) -> None:
    """Have ``split_gm`` call ``runnable`` instead of its child ``name``."""
    split_gm.__dict__[name] = runnable


def installed(split_gm: nn.Module, name: str) -> Callable[..., Any] | None:
    """What ``split_gm`` calls instead of its child ``name``; None if it calls the child."""
    return split_gm.__dict__.get(name)
