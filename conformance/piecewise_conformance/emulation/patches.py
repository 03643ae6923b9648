"""What an emulation puts in the place of torch's own, and puts back."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from . import current, graph, rules
from .device import Emulation, new_handle
from .errors import NotEmulated
from .streams import Event, Stream

_ABSENT = object()
# Methods that bring a tensor to the host without telling the dispatcher of it.
_TO_HOST = ("cpu", "tolist", "numpy", "__array__", "__repr__", "__str__", "__format__")


@contextmanager
def patched(emulation: Emulation) -> Iterator[None]:
    """Inside, torch's interface to CUDA graphs and streams is the emulation's."""
    undo: list[tuple[Any, str, Any]] = []
    try:
        for owner, name, value in _replacements(emulation):
            undo.append((owner, name, vars(owner).get(name, _ABSENT)))
            setattr(owner, name, value)
        yield
    finally:
        for owner, name, value in reversed(undo):
            if value is _ABSENT:
                delattr(owner, name)
            else:
                setattr(owner, name, value)


def _replacements(emulation: Emulation) -> Iterator[tuple[Any, str, Any]]:
    cuda: Any = torch.cuda
    names: dict[str, Any] = {
        "CUDAGraph": graph.CUDAGraph,
        "graph": graph.graph_context,
        "graph_pool_handle": new_handle,
        "is_current_stream_capturing": lambda: emulation.capture is not None,
        "Stream": Stream,
        "Event": Event,
        "current_stream": current.current_stream,
        "default_stream": lambda device=None: emulation.default_stream,
        "set_stream": functools.partial(_set_stream, emulation),
        "stream": functools.partial(_stream, emulation),
        "synchronize": lambda device=None: current.host_waits("torch.cuda.synchronize"),
        "empty_cache": emulation.empty_cache,
        "memory_allocated": lambda device=None: emulation.reserved(),
        "memory_reserved": lambda device=None: emulation.reserved(),
        "MemPool": _MemPool,
        "use_mem_pool": _use_mem_pool,
    }
    for name, value in names.items():
        yield cuda, name, value
    for module in (cuda.graphs, cuda.streams, cuda.memory):
        for name in names.keys() & vars(module).keys() - {"graph", "stream"}:
            yield module, name, names[name]
    yield cuda.graphs, "graph", graph.graph_context
    for name in _TO_HOST:
        yield torch.Tensor, name, _to_host(name)
    yield torch.Tensor, "to", _to_device(torch.Tensor.to)
    yield torch.Tensor, "pin_memory", _forbidden("Tensor.pin_memory", torch.Tensor.pin_memory)
    for name in ("tensor", "as_tensor"):
        yield torch, name, _from_host(name)
    with contextlib.suppress(ImportError):
        from torch._inductor.output_code import CompiledFxGraph

        yield CompiledFxGraph, "__call__", _inductor(CompiledFxGraph.__call__)


def _to_host(name: str) -> Callable[..., Any]:
    original = getattr(torch.Tensor, name)

    @functools.wraps(original)
    def method(self: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        current.host_waits(f"Tensor.{name}")
        if (emulation := current.current()) is not None and rules.is_plain(self):
            emulation.check_alive(self, f"Tensor.{name}")
        return original(self, *args, **kwargs)

    return method


def _to_device(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def to(self: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        target = kwargs.get("device", args[0] if args else None)
        # Here every tensor is on "cpu": only the word itself means the host.
        if isinstance(target, str) and target == "cpu":
            current.host_waits("Tensor.to('cpu')")
        return original(self, *args, **kwargs)

    return to


def _from_host(name: str) -> Callable[..., Any]:
    original = getattr(torch, name)

    @functools.wraps(original)
    def make(data: Any, *args: Any, **kwargs: Any) -> Any:
        if kwargs.get("device") is not None and not isinstance(data, torch.Tensor):
            current.host_waits(f"torch.{name}")
        return original(data, *args, **kwargs)

    return make


def _forbidden(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        current.forbid_in_capture(name, "allocates memory of the host")
        return original(*args, **kwargs)

    return call


def _inductor(original: Callable[..., Any]) -> Callable[..., Any]:
    """What Inductor compiled is one launch: its C++ kernels do not pass the dispatcher."""

    @functools.wraps(original)
    def call(self: Any, inputs: Any) -> Any:
        return current.need().run_opaque(
            "a graph compiled by Inductor", lambda given: original(self, list(given)), (inputs,), {}
        )

    return call


def _set_stream(emulation: Emulation, stream: Any) -> None:
    emulation.stream_stack[-1] = stream


@contextmanager
def _stream(emulation: Emulation, stream: Any) -> Iterator[None]:
    if stream is None:
        yield
        return
    emulation.other_streams.add(stream)  # it may be older than this emulation
    emulation.stream_stack.append(stream)
    try:
        yield
    finally:
        emulation.stream_stack.pop()


class _MemPool:
    """``torch.cuda.MemPool``, as far as its id names the pool of a capture."""

    def __init__(self, *_: Any, **__: Any) -> None:
        self.id = new_handle()


def _use_mem_pool(*_: Any, **__: Any) -> Any:
    raise NotEmulated("use_mem_pool outside a capture", op="torch.cuda.use_mem_pool")
