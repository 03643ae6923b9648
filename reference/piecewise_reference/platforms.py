"""Classes that a platform outside of this package can replace.

Each is given by its qualified name and imported when it is needed. Seed: ``current_platform``.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class Platform:
    """The classes of a platform, by qualified name.

    ``pass_key`` is the name of Inductor's hook for the pass manager.
    """

    pass_key: str = "post_grad_custom_post_pass"
    pass_manager_cls: str = f"{__package__}.compilers.inductor.pass_manager.PostGradPassManager"
    static_graph_wrapper_cls: str = f"{__package__}.cudagraph.wrapper.CUDAGraphWrapper"


_current: ContextVar[Platform | None] = ContextVar("platform", default=None)


def current_platform() -> Platform:
    """The current platform."""
    return _current.get() or Platform()


@contextmanager
def use_platform(platform: Platform) -> Iterator[None]:
    """A context in which backends use the classes of ``platform``."""
    token = _current.set(platform)
    try:
        yield
    finally:
        _current.reset(token)


def resolve_qualified_name(name: str, what: str) -> Any:
    """Import ``package.module.attribute``; raises ValueError, naming ``what``, if missing."""
    module_name, _, attribute = name.rpartition(".")
    try:
        return getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(
            f"no {what} {name!r} ({error}): give the qualified name package.module.Class"
        ) from error


def is_capturing() -> bool:
    """Whether a CUDA graph is being captured on the current stream."""
    try:
        return torch.cuda.is_current_stream_capturing()
    except RuntimeError:  # of a torch that was built without CUDA
        return False
