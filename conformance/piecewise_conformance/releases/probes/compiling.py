"""What probes are written with: fresh caches, hand-made graphs, compiles that are counted."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
import torch._dynamo
from torch import fx
from torch._dynamo.utils import counters


@contextlib.contextmanager
def fresh() -> Iterator[None]:
    """Inside, caches are empty and nothing is compiled yet."""
    import torch._functorch.config as functorch_config
    import torch._inductor.config as inductor_config
    from torch._inductor.utils import fresh_cache

    torch._dynamo.reset()
    counters.clear()
    functorch: Any = functorch_config
    inductor: Any = inductor_config
    settings = {"fx_graph_cache": True, "fx_graph_remote_cache": False, "compile_threads": 1}
    with (
        fresh_cache(),
        functorch.patch(enable_autograd_cache=True, enable_remote_autograd_cache=False),
        inductor.patch(settings),
    ):
        yield
    torch._dynamo.reset()


def graph_of(outputs: Callable[[Any, Any], Any]) -> fx.GraphModule:
    """A graph with one input that returns ``outputs`` of its two nodes, ``x + 1`` and ``x * 2``."""
    graph = fx.Graph()
    x = graph.placeholder("x")
    first = graph.call_function(torch.add, (x, 1))
    second = graph.call_function(torch.mul, (x, 2))
    graph.output(outputs(first, second))
    graph.eliminate_dead_code()
    return fx.GraphModule({}, graph)


def standalone(graph: fx.GraphModule, inputs: Sequence[Any], **arguments: Any) -> Any:
    """``graph`` as an artifact of ``standalone_compile``; shapes are those of the inputs."""
    import torch._inductor

    given = {"dynamic_shapes": "from_example_inputs", **arguments}
    return torch._inductor.standalone_compile(graph, list(inputs), **given)


def captured(function: Callable[..., Any], *inputs: Any) -> list[fx.GraphModule]:
    """The graphs that Dynamo captures of one call."""
    found: list[fx.GraphModule] = []

    def backend(graph: fx.GraphModule, _: Any) -> Any:
        found.append(graph)
        return graph.forward

    torch.compile(function, backend=backend)(*inputs)
    return found


def second_start(
    first: Callable[[], object], second: Callable[[], object], cache: str = "autograd_cache"
) -> str:
    """What AOTAutograd's cache does with ``second`` after ``first``: hit, miss or bypass.

    Dynamo forgets in between, as in another process; what is on disk stays.
    """
    first()
    if counters["aot_autograd"][f"{cache}_bypass"]:
        return "bypass"
    forget()
    second()
    for result in ("bypass", "hit", "miss"):
        if counters["aot_autograd"][f"{cache}_{result}"]:
            return result
    return "not looked up"


def forget() -> None:
    """Forget what is compiled in this process, as another process would not know it."""
    torch._dynamo.reset()
    counters.clear()


def structure(value: Any) -> str:
    """The structure of what a compiled graph returned."""
    if isinstance(value, (tuple, list)):
        return f"{type(value).__name__} of {len(value)}"
    return type(value).__name__
