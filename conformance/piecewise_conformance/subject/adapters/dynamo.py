"""``dynamo:NAME``: any backend that ``torch.compile`` knows by name, with no line to write."""

from __future__ import annotations

from typing import Any

from ...core.options import Options
from ..subject import Subject

# These run the very ops of the captured graph, so that results must equal eager to the bit.
_EAGER = ("eager",)


def make(name: str) -> Subject:
    """The backend ``name`` as a subject: a whole backend that neither splits nor caches."""
    import torch

    def make_backend(options: Options) -> Any:
        from torch._dynamo.backends.registry import lookup_backend

        return lookup_backend(name)

    abilities = {"eager"} if name in _EAGER else {"inductor"} if name == "inductor" else set()
    return Subject(
        f"dynamo:{name}",
        f"dynamo:{name}",
        {"make_backend": make_backend},
        frozenset(abilities),
        torch.__version__,
    )
