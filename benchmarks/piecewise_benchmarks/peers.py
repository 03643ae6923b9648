"""The functions of a peer that have a counterpart here, where the peer is installed.

``PIECEWISE_BENCH_PEERS=1`` asks for them; ``run --peers`` sets it. Then a peer that cannot be
imported is an error of the run: a ratio that is silently missing would read as one that is fine.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from functools import cache
from typing import Any

ASKED = "PIECEWISE_BENCH_PEERS"

# A CPU answers, nothing is kept in one file for all pieces (then no cache file would be written).
_ENVIRONMENT = {
    "VLLM_TARGET_DEVICE": "cpu",
    "VLLM_USE_MEGA_AOT_ARTIFACT": "0",
    "VLLM_LOGGING_LEVEL": "ERROR",
}


def wanted() -> bool:
    """Whether this run measures peers too."""
    return os.environ.get(ASKED) == "1"


@cache
def vllm_backends() -> Any:
    """The module of vLLM that the seed is, or None in a run without peers. Imports for 20 s."""
    if not wanted():
        return None
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    return importlib.import_module("vllm.compilation.backends")


def vllm(name: str) -> Callable[..., Any] | None:
    """The function or class ``name`` of vLLM, None in a run without peers."""
    module = vllm_backends()
    return None if module is None else getattr(module, name)


def implementations(name: str, own: Callable[..., Any]) -> dict[str, Callable[..., Any]]:
    """Who offers ``name``: ``own``, the reference's, and the peers' where they are measured."""
    found = {"reference": own}
    if (other := vllm(name)) is not None:
        found["vllm"] = other
    return found
