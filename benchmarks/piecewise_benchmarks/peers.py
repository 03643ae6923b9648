"""The functions of a peer that have a counterpart here, where the peer is installed.

``PIECEWISE_BENCH_PEERS=1`` asks for them; ``run --peers`` sets it. Then a peer that cannot be
imported is an error of the run: a ratio that is silently missing would read as one that is fine.
"""

from __future__ import annotations

import os
from functools import cache

from piecewise_conformance.subject.loading import load_subject
from piecewise_conformance.subject.subject import Subject

ASKED = "PIECEWISE_BENCH_PEERS"
PEERS = ("vllm", "sglang")
os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")


def wanted() -> bool:
    """Whether this run measures peers too."""
    return os.environ.get(ASKED) == "1"


@cache
def subject(name: str) -> Subject:
    """The subject, as the harness tests it. Of vLLM the first takes 20 s to import."""
    return load_subject(name)


def measured(*names: str) -> list[str]:
    """Who is measured: the reference, and the peers that offer ``names``, where any are asked for.

    Names are those of the surface of a subject.
    """
    peers = PEERS if wanted() else ()
    return ["reference", *(each for each in peers if all(map(subject(each).offers, names)))]
