"""A model with weights, and the ways in which a server exchanges them while it runs."""

from __future__ import annotations

from collections.abc import Callable

import torch
from piecewise_fixtures.programs import Program, program
from torch import nn

from ..capture_cache import with_own_code


class _Weighted(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 8)
        self.register_buffer("shift", torch.arange(8.0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(torch.ops.piecewise.scaled(self.linear(x))) + self.shift


def weighted() -> Program:
    """A linear layer around a splitting op, and a buffer; each time as code new to Dynamo."""
    base = program("linear-chain")
    return with_own_code(
        Program(
            "weighted",
            "",
            _Weighted,
            base.inputs,
            base.splitting_ops,
            base.sizes,
            base.dynamic,
            frozenset(),
        )
    )


def _scaled(module: nn.Module, factor: float) -> dict[str, torch.Tensor]:
    return {name: value * factor for name, value in module.state_dict().items()}


def _load(module: nn.Module, factor: float) -> None:
    module.load_state_dict(_scaled(module, factor), assign=True)


def _set_attributes(module: nn.Module, factor: float) -> None:
    for name, value in _scaled(module, factor).items():
        path, _, last = name.rpartition(".")
        owner = module.get_submodule(path)
        is_parameter = last in owner._parameters
        setattr(owner, last, nn.Parameter(value, requires_grad=False) if is_parameter else value)


def _set_data(module: nn.Module, factor: float) -> None:
    for name, value in _scaled(module, factor).items():
        path, _, last = name.rpartition(".")
        getattr(module.get_submodule(path), last).data = value


def _set_the_buffer(module: nn.Module, factor: float) -> None:
    for each in module.modules():
        for name, value in each._buffers.items():
            assert value is not None
            setattr(each, name, value * factor)


def _write_in_place(module: nn.Module, factor: float) -> None:
    with torch.no_grad():
        for value in (*module.parameters(), *module.buffers()):
            value.mul_(factor)


EXCHANGES: dict[str, Callable[[nn.Module, float], None]] = {
    "load_state_dict": _load,
    "attributes": _set_attributes,
    "data": _set_data,
    "buffer": _set_the_buffer,
    "in-place": _write_in_place,
}
"""By name: give ``module`` weights that are ``factor`` times those that it has."""
