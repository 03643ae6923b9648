"""The context of a forward pass: what it knows in addition to its arguments.

Splitting ops read it: attention needs to know which tokens belong to which request. The
static-graph wrapper reads the kind of the batch and the mode from it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from ..config.modes import CUDAGraphMode


@dataclass(frozen=True)
class BatchDescriptor:
    """The properties of a batch that a captured graph depends on: the key of that graph.

    ``num_tokens`` is the padded number of tokens. ``uniform`` means that every request has the same
    number of tokens, as in a batch of decodes. Seed context: *Forward context*.
    """

    num_tokens: int
    num_reqs: int | None = None
    uniform: bool = False
    has_lora: bool = False


@dataclass(frozen=True)
class ForwardContext:
    """The context of one pass. Only splitting ops read ``attn_metadata``."""

    batch_descriptor: BatchDescriptor | None = None
    cudagraph_runtime_mode: CUDAGraphMode = CUDAGraphMode.NONE
    attn_metadata: Any = None

    def __post_init__(self) -> None:
        if not self.cudagraph_runtime_mode.is_runtime_mode():
            raise ValueError(
                f"one batch cannot run in {self.cudagraph_runtime_mode.name}: use its "
                "decode_mode() or its mixed_mode()"
            )


_current: ContextVar[ForwardContext | None] = ContextVar("forward_context", default=None)


def current_forward_context() -> ForwardContext | None:
    """The context of the current forward pass, or None outside of one."""
    return _current.get()


def get_forward_context() -> ForwardContext:
    """The context of the current forward pass; raises RuntimeError outside of one."""
    context = _current.get()
    if context is None:
        raise RuntimeError("no forward pass is under way: call the model in set_forward_context")
    return context


@contextmanager
def set_forward_context(
    attn_metadata: Any = None,
    *,
    batch_descriptor: BatchDescriptor | None = None,
    cudagraph_runtime_mode: CUDAGraphMode = CUDAGraphMode.NONE,
) -> Iterator[ForwardContext]:
    """Set the context of a forward pass. Contexts nest; the outer one is restored."""
    context = ForwardContext(batch_descriptor, cudagraph_runtime_mode, attn_metadata)
    token = _current.set(context)
    try:
        yield context
    finally:
        _current.reset(token)
