"""What a pass over Inductor's graph is, and how a value in a config becomes one.

What a pass does is part of what is compiled, so every pass has a ``uuid``: another uuid means
another artifact.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any

from torch import fx
from torch._inductor.custom_graph_pass import CustomGraphPass

from ..hashing import digest, function_digest
from ..ranges import Range


class InductorPass(CustomGraphPass):
    """A pass: called with the ``fx.Graph`` that Inductor is about to lower, changes it in place."""

    def uuid(self) -> str | None:
        """Another text for another behaviour; None if what it does is not to be cached. By default
        the source of the class: a pass whose behaviour depends on more than that adds it here.
        """
        return digest(type(self).__qualname__, _source_of(type(self)))

    def is_applicable(self, compile_range: Range | None) -> bool:
        """Whether the pass is to run on a graph compiled for ``compile_range``."""
        return True


@cache
def _source_of(kind: type) -> str:
    """Asked for each piece, and read from disk once."""
    return inspect.getsource(kind)


class CallableInductorPass(InductorPass):
    """A function as a pass; its source, and the values that it brings along, are its uuid, unless
    it is given one. TypeError for a value that no uuid can be made of.
    """

    def __init__(self, function: Callable[[fx.Graph], Any], uuid: str | None = None) -> None:
        self.function = function
        self._uuid = uuid or function_digest(function)

    def __call__(self, graph: fx.Graph) -> None:
        """Run the function."""
        self.function(graph)

    def uuid(self) -> str:
        """Of the function."""
        return self._uuid


class PassManager(CustomGraphPass):
    """A pass that runs other passes. The backend makes its own, so a config must not hold one."""


def as_pass(value: Any, where: str) -> InductorPass:
    """``value`` from a config as a pass; a plain function is wrapped.

    Raises ValueError for a pass manager: the backend makes its own, and its uuid is known only
    while something is compiled. Raises TypeError for what is no pass.
    """
    if isinstance(value, PassManager):
        raise ValueError(
            f"{where} holds a {type(value).__name__}, which cannot be kept in a config: the "
            "backend makes its own. Put in the pass to be added, or drop it"
        )
    if isinstance(value, InductorPass):
        return value
    if inspect.isfunction(value):
        return CallableInductorPass(value)
    raise TypeError(f"{where} holds {value!r}: use an InductorPass, or a function of an fx.Graph")
