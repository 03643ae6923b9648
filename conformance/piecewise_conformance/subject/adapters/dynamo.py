"""``dynamo:NAME``: any backend that ``torch.compile`` knows by name, with no line to write."""

from __future__ import annotations

from typing import Any

from ...core.options import Options
from ..load_error import LoadError, listed, near
from ..subject import Subject

# These run the very ops of the captured graph, so that results must equal eager to the bit.
_EAGER = ("eager",)


def load(name: str) -> Subject:
    """The backend ``name`` as a subject: a whole backend that neither splits nor caches.

    Raises LoadError if ``torch.compile`` knows no such backend.
    """
    import torch._dynamo

    known = torch._dynamo.list_backends(exclude_tags=())
    if name not in known:
        raise LoadError(
            f"torch.compile has no backend {name!r}; install the package that provides it "
            f"(nox: --install PACKAGE), or choose one of {listed(known)}{near(name, known)}"
        )

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
