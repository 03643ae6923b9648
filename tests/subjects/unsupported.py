"""A subject that declines everything."""

from __future__ import annotations

from typing import Any


def make_backend(options: Any) -> Any:
    """Decline."""
    raise NotImplementedError("nothing is offered")
