"""Starts of the decoder: captured by Dynamo, split and put together, compiled cold and warm.

``eager`` is what a backend takes itself, Dynamo's part included. With Inductor torch forgets before
each start what it keeps in memory, as in a process that has just begun. A cold start has new
folders for the cache of the backend and for torch's own; a warm one finds both as an earlier one
left them. The compilers that Inductor starts count.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from piecewise_conformance.core.environment import missing
from piecewise_conformance.testkit.drive import Driven, options_for
from piecewise_conformance.testkit.models.llama import decoder, one_sequence
from piecewise_fixtures.forward_context import set_forward_context
from torch._inductor.utils import clear_caches

from piecewise_benchmarks.measure import LINEAR, LOGARITHMIC, timed
from piecewise_benchmarks.peers import measured, subject

TOKENS = 7
# SGLang does not read its cache file back
CACHING = [by for by in measured("make_backend") if by != "sglang"]


def with_children() -> float:
    """The processor's clock for this process and those that it has waited for."""
    return sum(os.times()[:4])


@dataclass(frozen=True)
class Started:
    """A decoder that ran its first batch, and how many pieces were compiled for it."""

    driven: Driven
    compiles: int

    def check(self, compiles: int | None) -> None:
        """Raise unless a batch is right and as many pieces were compiled, if that is known."""
        assert compiles in (None, self.compiles), self.compiles
        with set_forward_context(one_sequence(TOKENS)):
            self.driven.check(TOKENS)


def start(by: str, layers: int, compiler: str, root: str | None) -> Started:
    """Start the decoder anew and run one batch."""
    torch._dynamo.reset()
    here, chosen = subject(by), decoder(layers=layers)
    with set_forward_context(one_sequence(TOKENS)), here.events() as trace:
        asked = options_for(here, chosen, compiler=compiler, cache_root=root)
        driven = Driven(here, chosen, asked, live=True)
        driven.got(chosen.inputs(TOKENS))
        return Started(driven, len(trace().of("Compile")))


def needs(*names: str) -> Any:
    reasons = [reason for name in names if (reason := missing(name))]
    return pytest.mark.skipif(bool(reasons), reason="; ".join(reasons) or "nothing is missing")


@needs("transformers")
@pytest.mark.parametrize("layers", [0, 1, 4, 16, 32])
@pytest.mark.parametrize("by", measured("make_backend"))
def test_eager(benchmark: Any, by: str, layers: int) -> None:
    timed(
        benchmark,
        lambda: start(by, layers, "eager", None),
        group="start eager",
        by=by,
        size=layers + 1,  # splitting ops cut the decoder into one piece more
        unit="piece",
        order=LINEAR,
        check=lambda started: started.check(layers + 1),
        rounds=3 if by == "reference" else 1,
    )


def start_with_inductor(by: str, layers: int, folder: str) -> Started:
    """Start the decoder with all caches in ``folder``, and nothing in memory."""
    clear_caches()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCHINDUCTOR_CACHE_DIR", f"{folder}/inductor")
        return start(by, layers, "inductor", f"{folder}/own")


@needs("transformers", "inductor")
@pytest.mark.benchmark(timer=with_children)
@pytest.mark.parametrize("layers", [1, 4, 16])
@pytest.mark.parametrize("by", CACHING)
def test_cold(benchmark: Any, by: str, layers: int) -> None:
    """Of identical layers the reference compiles each distinct piece once."""

    def cold() -> Started:
        with tempfile.TemporaryDirectory() as fresh:
            return start_with_inductor(by, layers, fresh)

    def check(started: Started) -> None:
        started.check(min(layers + 1, 3) if by == "reference" else None)

    timed(
        benchmark,
        cold,
        group="cold start of identical layers",
        by=by,
        size=layers,
        unit="layer",
        order=LOGARITHMIC,
        check=check,
        rounds=3 if by == "reference" else 1,
    )


@needs("transformers", "inductor")
@pytest.mark.benchmark(timer=with_children)
@pytest.mark.parametrize("layers", [1, 8, 32])
@pytest.mark.parametrize("by", CACHING)
def test_warm(benchmark: Any, folder: str, by: str, layers: int) -> None:
    start_with_inductor(by, layers, folder)
    timed(
        benchmark,
        lambda: start_with_inductor(by, layers, folder),
        group="warm start with Inductor",
        by=by,
        size=layers,
        unit="layer",
        order=LINEAR,
        check=lambda started: started.check(0),
        rounds=3,
    )
