"""What AOTAutograd's cache takes for the same graph: each probe starts twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from .compiling import second_start
from .registry import probe


def _compiled(function: Callable[..., Any], *, dynamic: bool = False) -> Callable[[], object]:
    def start() -> object:
        x = torch.ones(6, 4)
        if dynamic:
            torch._dynamo.mark_dynamic(x, 0)
        with torch.no_grad():
            return torch.compile(function, backend="inductor", fullgraph=True)(x)

    return start


def _of_x(x: torch.Tensor) -> torch.Tensor:
    return x.sin() + 1


def _of_y(y: torch.Tensor) -> torch.Tensor:
    return y.sin() + 1


@probe("cache-same-graph")
def same() -> str:
    """The same function again."""
    return second_start(_compiled(_of_x), _compiled(_of_x))


@probe("cache-renamed-inputs")
def renamed_inputs() -> str:
    """The same function with another name for its input."""
    return second_start(_compiled(_of_x), _compiled(_of_y))


@probe("cache-renamed-symbols")
def renamed_symbols() -> str:
    """The same with a dynamic size, whose symbol has another name as well."""
    return second_start(_compiled(_of_x, dynamic=True), _compiled(_of_y, dynamic=True))


def _with_autocast(x: torch.Tensor) -> torch.Tensor:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return x @ x.t()


@probe("cache-autocast-inside")
def autocast_inside() -> str:
    """A graph that enters autocast."""
    return second_start(_compiled(_with_autocast), _compiled(_with_autocast))


@probe("cache-autocast-around")
def autocast_around() -> str:
    """A graph that was compiled without autocast, looked up within it."""

    def product(x: torch.Tensor) -> torch.Tensor:
        return x @ x.t()

    def within() -> object:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return _compiled(product)()

    return second_start(_compiled(product), within)


def _with_inference_mode(x: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return x.sin() + 1


@probe("cache-inference-mode-inside")
def inference_mode_inside() -> str:
    """A graph that enters inference mode."""
    return second_start(_compiled(_with_inference_mode), _compiled(_with_inference_mode))


@probe("cache-inference-mode-around")
def inference_mode_around() -> str:
    """A graph that was compiled without gradients, looked up in inference mode."""

    def within() -> object:
        with torch.inference_mode():
            return _compiled(_of_x)()

    return second_start(_compiled(_of_x), within)
