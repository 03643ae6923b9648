"""The interface of passes over Inductor's graph, and how a config value becomes a pass.

A pass changes the compiled code, so every pass has a ``uuid``. Another uuid means another artifact.
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
    """A pass: a callable that changes the ``fx.Graph`` that Inductor will lower, in place."""

    def uuid(self) -> str | None:
        """A text that differs for each behavior of the pass; None if the result must not be cached.
        The default is the source of the class. A pass that depends on more must add that.
        """
        return digest(type(self).__qualname__, _source_of(type(self)))

    def is_applicable(self, compile_range: Range | None) -> bool:
        """Whether the pass runs on a graph compiled for ``compile_range``."""
        return True


@cache
def _source_of(kind: type) -> str:
    """The source, read from disk once although every piece needs it."""
    return inspect.getsource(kind)


class CallableInductorPass(InductorPass):
    """A function as a pass. By default its uuid covers its source and the values that it closes
    over. Raises TypeError for a value that cannot be hashed.
    """

    def __init__(self, function: Callable[[fx.Graph], Any], uuid: str | None = None) -> None:
        self.function = function
        self._uuid = uuid or function_digest(function)

    def __call__(self, graph: fx.Graph) -> None:
        """Run the function."""
        self.function(graph)

    def uuid(self) -> str:
        """The uuid of the function."""
        return self._uuid


class PassManager(CustomGraphPass):
    """A pass that runs other passes. The backend creates one, so a config must not."""


def as_pass(value: Any, where: str) -> InductorPass:
    """Convert ``value`` from a config to a pass; a plain function is wrapped.

    Raises ValueError for a pass manager: the backend creates its own, and the uuid of a manager is
    known only during a compile. Raises TypeError for a value that is not a pass.
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
