"""GRAPH: weights that are exchanged between two replays, emulated on a CPU, real on a GPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from piecewise_conformance.core.marks import requirement
from piecewise_conformance.subject.subject import Subject
from piecewise_conformance.testkit.capture_cache import settle
from piecewise_conformance.testkit.cudagraphs.graph_wrapper import (
    FIRST,
    graphs,
    kept,
    or_refused,
    same,
)
from piecewise_conformance.testkit.cudagraphs.llama_graphs import batch
from piecewise_conformance.testkit.drive import Driven, options_for
from piecewise_conformance.testkit.models.weights import EXCHANGES, weighted
from torch import nn

SIZES = (6, 4)


@requirement("GRAPH-025")
@pytest.mark.parametrize("way", EXCHANGES)
@pytest.mark.parametrize("copied", [False, True], ids=["inputs-in-place", "inputs-copied"])
def test_captured_pieces(subject: Subject, device: str, way: str, copied: bool) -> None:
    """A model whose pieces are captured at two sizes gets other weights, twice, and is replayed at
    both sizes after each exchange.
    """
    settle()
    with graphs(subject, device) as here:
        chosen = here.placed(weighted())
        options = options_for(subject, chosen, cudagraph_mode="PIECEWISE", copy_inputs=copied)
        subject.check_offers(options)
        driven = Driven(subject, chosen, options, live=True)
        inputs = {size: chosen.inputs(size) for size in SIZES}
        for mode in ("NONE", "PIECEWISE"):
            for size in SIZES:
                batch(here, driven, mode, size, inputs[size])
        for factor in (1.0, 2.0, 3.0):
            for module in (driven.plain, driven.module):
                EXCHANGES[way](module, factor)
            for size in (*SIZES, *SIZES):
                with here.batch("PIECEWISE", here.descriptor(size)), or_refused(factor > 1):
                    driven.check_with(inputs[size], f"with weights times {factor}", aliasing=False)


class _Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 3)
        self.register_buffer("shift", torch.arange(3.0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x).sin() + self.shift


CALLABLES: dict[str, Callable[[nn.Module], Any]] = {
    "module": lambda module: module,
    "method": lambda module: module.forward,
    "compiled": lambda module: torch.compile(module, backend="eager"),
}


def _layer(device: str) -> nn.Module:
    torch.manual_seed(0)
    return _Layer().eval().requires_grad_(False).to(device)


@requirement("GRAPH-025")
@pytest.mark.parametrize("way", [*EXCHANGES, "submodule"])
@pytest.mark.parametrize("name", CALLABLES)
@pytest.mark.parametrize("mode", ["FULL", "PIECEWISE"])
def test_captured_module(subject: Subject, device: str, mode: str, name: str, way: str) -> None:
    """A module that is captured as a whole gets other weights, or another submodule, twice."""
    settle()
    with graphs(subject, device) as here, torch.no_grad(), torch.random.fork_rng(devices=[]):
        model, plain = _layer(device), _layer(device)
        wrapped = here.wrap(CALLABLES[name](model), mode, FIRST)
        x = here.tensor(4, 3)
        for each in ("NONE", mode):
            with here.batch(each, here.descriptor(4)):
                wrapped(x)
        for factor in (1.0, 2.0, 3.0):
            for module in (plain, model):
                _exchange(module, way, factor)
            for seed in range(2):
                x.copy_(here.tensor(4, 3, seed=seed))
                expected = plain(x)
                with here.batch(mode, here.descriptor(4)), or_refused(factor > 1):
                    got = kept(wrapped(x))
                    same(f"with weights times {factor}", expected, got)


def _exchange(module: nn.Module, way: str, factor: float) -> None:
    if way != "submodule":
        EXCHANGES[way](module, factor)
        return
    before = module.get_submodule("linear")
    fresh = nn.Linear(3, 3, device=next(before.parameters()).device).requires_grad_(False)
    fresh.load_state_dict({name: each * factor for name, each in before.state_dict().items()})
    module.linear = fresh
