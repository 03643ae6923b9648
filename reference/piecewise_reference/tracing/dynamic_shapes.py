"""How the batch dimension is traced, and what becomes of the guards that tracing leaves.

One compiled model serves every batch size, so that guards are dropped; a model whose code took a
branch on the size is then wrong for the sizes of the other branch, silently. With
``evaluate_guards`` the guards on shapes are kept: such a size reaches the backend a second time,
which refuses with an error.
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
    """Have dimension ``dim`` of an input traced as ``config`` says, before the first call."""
    if config.type is DynamicShapesType.UNBACKED:
        torch._dynamo.decorators.mark_unbacked(tensor, dim)
    else:
        torch._dynamo.mark_dynamic(tensor, dim)


@contextmanager
def tracing_shapes(config: DynamicShapesConfig) -> Iterator[None]:
    """Open around the first call, in which Dynamo traces."""
    oblivious = config.type is DynamicShapesType.BACKED_SIZE_OBLIVIOUS
    patched: Any = config_module  # a config module has its methods from where mypy cannot see
    with patched.patch(backed_size_oblivious=oblivious):
        yield


def guard_filter(config: DynamicShapesConfig) -> Callable[[Sequence[Any]], list[bool]]:
    """For ``torch.compile(options={"guard_filter_fn": ...})``: which guards are to be kept."""
    return lambda guards: [
        config.evaluate_guards and guard.guard_type == "SHAPE_ENV" for guard in guards
    ]


def relax_lower_bounds(shape_env: ShapeEnv) -> None:
    """Take back that a traced size is at least 2.

    Tracing assumes so of every backed size, to be spared the cases 0 and 1. The compiled code
    does not rely on it; a guard for it would refuse a batch of one token.
    """
    for symbol, bounds in shape_env.var_to_range.items():
        if bounds.lower == 2:
            shape_env.var_to_range[symbol] = ValueRanges(0, bounds.upper)


def evaluates_guards(config: DynamicShapesConfig) -> bool:
    """Whether there are guards on shapes that are to be checked."""
    return config.evaluate_guards and config.type is DynamicShapesType.BACKED
