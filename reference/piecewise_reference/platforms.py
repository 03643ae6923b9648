"""The points where a platform outside this package puts its own classes.

Each is the qualified name of a class, looked up when it is needed, so that naming one costs no
import. Seed: ``current_platform``.
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
    """``pass_key`` is the name of Inductor's hook at which the pass manager runs."""

    pass_key: str = "post_grad_custom_post_pass"
    pass_manager_cls: str = f"{__package__}.compilers.inductor.pass_manager.PostGradPassManager"
    static_graph_wrapper_cls: str = f"{__package__}.cudagraph.wrapper.CUDAGraphWrapper"


_current: ContextVar[Platform | None] = ContextVar("platform", default=None)


def current_platform() -> Platform:
    """The platform in force."""
    return _current.get() or Platform()


@contextmanager
def use_platform(platform: Platform) -> Iterator[None]:
    """Backends made and called inside take their classes from ``platform``."""
    token = _current.set(platform)
    try:
        yield
    finally:
        _current.reset(token)


def resolve_qualified_name(name: str, what: str) -> Any:
    """The object at ``package.module.attribute``; ValueError, naming ``what``, if there is none."""
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
