"""Starts of the decoder: captured by Dynamo, split and put together, compiled cold and warm.

``eager`` is what the reference itself takes, Dynamo's part included; with Inductor nearly all is
Inductor's time, and torch's own caches are in a folder of their own, fresh for each start.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from piecewise_conformance.drive import Driven, options_for
from piecewise_conformance.environment import missing
from piecewise_conformance.llama import decoder, one_sequence
from piecewise_conformance.subjects.reference import subject
from piecewise_fixtures.forward_context import set_forward_context

from piecewise_benchmarks.measure import LINEAR, timed


@contextmanager
def own_inductor_cache() -> Iterator[None]:
    with tempfile.TemporaryDirectory() as folder:
        patch = pytest.MonkeyPatch()
        patch.setenv("TORCHINDUCTOR_CACHE_DIR", folder)
        try:
            yield
        finally:
            patch.undo()


def start(layers: int, compiler: str, root: str | None) -> int:
    """Start the decoder anew and run one batch, which is checked; the number of compiles."""
    torch._dynamo.reset()
    with set_forward_context(one_sequence(7)), subject.events() as trace:
        asked = options_for(subject, decoder(layers=layers), compiler=compiler, cache_root=root)
        Driven(subject, decoder(layers=layers), asked, live=True).check(7)
        return len(trace().of("Compile"))


def needs(*names: str) -> Any:
    reasons = [reason for name in names if (reason := missing(name))]
    return pytest.mark.skipif(bool(reasons), reason="; ".join(reasons) or "nothing is missing")


@needs("transformers")
@pytest.mark.parametrize("layers", [1, 2, 4])
def test_eager(benchmark: Any, layers: int) -> None:

    def check(compiles: int) -> None:
        assert compiles == layers + 1

    timed(
        benchmark,
        lambda: start(layers, "eager", None),
        group="start eager",
        size=layers,
        unit="layer",
        order=LINEAR,
        check=check,
        rounds=1,
    )


@needs("transformers", "inductor")
@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
def test_inductor(benchmark: Any, folder: str, warm: bool) -> None:

    def measured() -> int:
        with own_inductor_cache(), tempfile.TemporaryDirectory() as fresh:
            return start(2, "inductor", folder if warm else fresh)

    def check(compiles: int) -> None:
        assert compiles == (0 if warm else 3)

    if warm:
        with own_inductor_cache():
            assert start(2, "inductor", folder) == 3
    timed(
        benchmark,
        measured,
        group="start inductor, 2 layers",
        by="reference" if warm else "reference, cold",
        size=2,
        unit="layer",
        order=None,
        check=check,
        rounds=1,
    )
