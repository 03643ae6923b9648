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

from piecewise_conformance.loading import load_subject
from piecewise_conformance.subject import Subject

ASKED = "PIECEWISE_BENCH_PEERS"
os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")


def wanted() -> bool:
    """Whether this run measures peers too."""
    return os.environ.get(ASKED) == "1"


def measured() -> list[str]:
    """Who is measured: the reference, and the peers where they are asked for."""
    return ["reference", *(["vllm"] if wanted() else [])]


@cache
def subject(name: str) -> Subject:
    """The subject, as the harness tests it. Of vLLM the first takes 20 s to import."""
    return load_subject(name)


def vllm(name: str) -> Callable[..., Any] | None:
    """The function or class ``name`` of vLLM, None in a run without peers."""
    if not wanted():
        return None
    subject("vllm")  # which chooses a platform, before vLLM looks for one
    found: Callable[..., Any] = getattr(importlib.import_module("vllm.compilation.backends"), name)
    return found


def implementations(name: str, own: Callable[..., Any]) -> dict[str, Callable[..., Any]]:
    """Who offers ``name``: ``own``, the reference's, and the peers' where they are measured."""
    found = {"reference": own}
    if (other := vllm(name)) is not None:
        found["vllm"] = other
    return found
