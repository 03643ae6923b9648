"""Passes for a subject to run, of its own class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

from torch import fx

from ..core.boundary import inside_subject
from ..subject.subject import Subject


def make_pass(
    subject: Subject,
    uuid: str | None,
    action: Callable[[fx.Graph], Any] | None = None,
    cached: bool = True,
) -> Any:
    """A pass of the subject's class, known by ``uuid``, that does ``action(graph)``.

    Without a ``uuid`` it has one that no cache of Inductor's has seen, so that it runs. One that is
    not to be ``cached`` tells so in torch's way: its ``uuid()`` is None.
    """
    base: Any = subject.get("InductorPass")
    known_by = uuid or uuid4().hex

    class Pass(base):  # type: ignore[misc]  # the subject's class
        def __call__(self, graph: fx.Graph) -> None:
            if action is not None:
                action(graph)

        def uuid(self) -> str | None:
            return known_by if cached else None

    with inside_subject("InductorPass"):
        return Pass()
