"""How the batch dimension is traced, and what happens to the guards from tracing.

One compiled model serves every batch size, so guards are dropped. A model that branched on the size
is then silently wrong for the sizes of the other branch. With ``evaluate_guards`` the guards on
shapes are kept: for such a size Dynamo calls the backend a second time, which raises an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.fx.experimental._config as config_module
from torch.fx.experimental.symbolic_shapes import ShapeEnv
from torch.utils._sympy.value_ranges import ValueRanges

from ..config.modes import DynamicShapesType
from ..config.vllm_config import DynamicShapesConfig


def mark_batch_dimension(tensor: torch.Tensor, dim: int, config: DynamicShapesConfig) -> None:
    """Mark dimension ``dim`` of an input as ``config`` requires. Call it before the first call."""
    if config.type is DynamicShapesType.UNBACKED:
        torch._dynamo.decorators.mark_unbacked(tensor, dim)
    else:
        torch._dynamo.mark_dynamic(tensor, dim)


@contextmanager
def tracing_shapes(config: DynamicShapesConfig) -> Iterator[None]:
    """A context for the first call of a model, in which Dynamo traces."""
    oblivious = config.type is DynamicShapesType.BACKED_SIZE_OBLIVIOUS
    patched: Any = config_module  # mypy does not see the methods of a config module
    with patched.patch(backed_size_oblivious=oblivious):
        yield


def guard_filter(config: DynamicShapesConfig) -> Callable[[Sequence[Any]], list[bool]]:
    """Which guards to keep, for ``torch.compile(options={"guard_filter_fn": ...})``."""
    return lambda guards: [
        config.evaluate_guards and guard.guard_type == "SHAPE_ENV" for guard in guards
    ]


def relax_lower_bounds(shape_env: ShapeEnv) -> None:
    """Remove the assumption that a traced size is at least 2.

    Tracing assumes it for every backed size, to avoid the special cases 0 and 1. The compiled code
    does not rely on it, and a guard for it would reject a batch of one token.
    """
    for symbol, bounds in shape_env.var_to_range.items():
        if bounds.lower == 2:
            shape_env.var_to_range[symbol] = ValueRanges(0, bounds.upper)


def evaluates_guards(config: DynamicShapesConfig) -> bool:
    """Whether guards on shapes are kept and checked."""
    return config.evaluate_guards and config.type is DynamicShapesType.BACKED
