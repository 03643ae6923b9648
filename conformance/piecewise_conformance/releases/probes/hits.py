"""What happens on a cache hit: passes before autograd, and the guards of the entry."""

from __future__ import annotations

from typing import Any

import torch
import torch._inductor.config as inductor_config
from torch import fx
from torch._inductor.codecache import FxGraphCache
from torch._inductor.custom_graph_pass import CustomGraphPass
from torch.fx.experimental.symbolic_shapes import ShapeEnv

from .compiling import forget, second_start
from .registry import probe

_config: Any = inductor_config


class _Counting(CustomGraphPass):
    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, graph: fx.Graph) -> None:
        self.calls += 1

    def uuid(self) -> str:
        return "counting"


@probe("pre-grad-passes-on-hit")
def pre_grad_passes() -> str:
    """How often a pre-grad pass runs at the first start and at one that hits the cache."""
    counting = _Counting()
    runs = []

    def start() -> None:
        counting.calls = 0
        torch.compile(lambda x: x.sin() + 1, backend="inductor")(torch.ones(4))
        runs.append(counting.calls)

    with _config.patch(pre_grad_custom_pass=counting):
        came = second_start(start, start)
    return f"{came}; {runs[0]} at the first start, {runs[1]} at the second"


def _guarded(x: torch.Tensor, size: int) -> torch.Tensor:
    return x.sin() if size > 5 else x.cos()


def _start(size: int) -> None:
    torch.compile(_guarded, backend="inductor", dynamic=True)(torch.ones(4), size)


@probe("guards-on-hit")
def guards() -> str:
    """Whether the guards of an entry are evaluated on a hit: with sizes, and with symbols."""
    seen: list[str] = []
    plain = ShapeEnv.evaluate_guards_expression

    def counted(self: ShapeEnv, code: str, args: Any) -> bool:
        seen.append("symbols" if any(isinstance(each, torch.SymInt) for each in args) else "sizes")
        return plain(self, code, args)

    _start(8)
    forget()
    ShapeEnv.evaluate_guards_expression = counted  # type: ignore[method-assign]
    try:
        came = second_start(lambda: None, lambda: _start(9))
    finally:
        ShapeEnv.evaluate_guards_expression = plain  # type: ignore[method-assign]
    return f"{came}; evaluated with {' and '.join(dict.fromkeys(seen)) or 'nothing'}"


@probe("guard-evaluator-on-hit")
def evaluator() -> str:
    """How often the FX graph cache calls the evaluator that its caller gives, on a hit."""
    calls: list[str] = []
    plain = FxGraphCache.load_with_key

    def watched(*args: Any, **kwargs: Any) -> Any:
        if given := kwargs.get("evaluate_guards"):

            def counted(code: str, hints: Any) -> bool:
                calls.append(code)
                return bool(given(code, hints))

            kwargs["evaluate_guards"] = counted
        return plain(*args, **kwargs)

    _start(8)
    forget()
    FxGraphCache.load_with_key = staticmethod(watched)  # type: ignore[method-assign]
    try:
        _start(9)
    finally:
        FxGraphCache.load_with_key = plain  # type: ignore[method-assign]
    return f"{len(calls)} calls"


class _Double:
    """A shape env that has the methods that callers of the FX graph cache have always needed."""

    def __init__(self) -> None:
        self.guards: list[Any] = []
        self.var_to_hint_override: dict[Any, Any] = {}

    def evaluate_guards_expression(self, *args: Any, **kwargs: Any) -> bool:
        return True

    def get_pruned_guards(self, *args: Any, **kwargs: Any) -> list[Any]:
        return []

    def produce_guards_expression(self, *args: Any, **kwargs: Any) -> str:
        return ""


@probe("shape-env-methods")
def shape_env_methods() -> str:
    """Whether the FX graph cache is content with a shape env of three methods, as vLLM gives it."""
    plain = FxGraphCache._get_shape_env
    FxGraphCache._get_shape_env = staticmethod(_Double)  # type: ignore[assignment]
    try:
        torch.compile(lambda x: x.sin() + 1, backend="inductor")(torch.ones(4))
    finally:
        FxGraphCache._get_shape_env = plain  # type: ignore[method-assign]
    return "content"
