"""Detect that the weights that a captured graph reads are no longer those of the model.

A graph reads the addresses from its capture. Weights that are written in place keep their address.
Weights that are replaced by other tensors, as when a server loads a new checkpoint, do not, and the
inputs of a call do not show it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import nn


class _Slot(NamedTuple):
    """One attribute that holds a weight or a submodule, and its value at capture."""

    owner: dict[str, Any]
    name: str
    value: Any
    address: int

    def is_as_it_was(self) -> bool:
        value = self.owner.get(self.name)
        return value is self.value and _address(value) == self.address


class Weights:
    """The parameters, buffers and submodules of the module that ``runnable`` is, or is a method of.

    Weights that other callables read, such as a function with a closure, are not detected. The
    tensors are kept alive, so their memory is not reused while the graph can be replayed.
    """

    def __init__(self, runnable: Callable[..., Any]) -> None:
        module = getattr(runnable, "__self__", runnable)
        modules = list(module.modules()) if isinstance(module, nn.Module) else []
        self.slots = [
            _Slot(owner, name, value, _address(value))
            for each in modules
            for owner in (each._parameters, each._buffers, each._modules)
            for name, value in owner.items()
        ]

    def exchanged(self) -> bool:
        """Whether a weight or a submodule was replaced since the capture."""
        return not all(slot.is_as_it_was() for slot in self.slots)


def _address(value: Any) -> int:
    return value.data_ptr() if isinstance(value, torch.Tensor) else 0
