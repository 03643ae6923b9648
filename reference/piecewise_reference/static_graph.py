"""``CUDAGraphWrapper``: record what a callable launches once, and launch it again without Python.

A replay reads the addresses that were captured and writes into the outputs that were captured; it
runs no Python. Everything here follows from those three.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch

from . import events
from .config import CompilationConfig, VllmConfig
from .forward_context import BatchDescriptor, current_forward_context
from .modes import CUDAGraphMode
from .platforms import current_platform, resolve_qualified_name

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CUDAGraphOptions:
    """``debug_log_enable``: tell of captures. ``gc_disable``: collect no garbage in a capture.
    ``weak_ref_output``: the output need not outlive the next capture.
    """

    debug_log_enable: bool = True
    gc_disable: bool = False
    weak_ref_output: bool = False


@dataclass
class _Entry:
    """One captured graph, and all that it reads and writes: kept, so that no memory of it is
    given to anybody else while it can be replayed.
    """

    graph: torch.cuda.CUDAGraph
    inputs: list[torch.Tensor | None]  # by position; None for what is no tensor
    written: list[int] = field(default_factory=list)  # positions that the callable writes
    output: Any = None


def _version(tensor: torch.Tensor) -> int | None:
    """How often ``tensor`` was written; None where torch does not count (inference tensors)."""
    return None if tensor.is_inference() else tensor._version


@contextmanager
def _capturing(graph: torch.cuda.CUDAGraph, pool: Any, collect_garbage: bool) -> Iterator[None]:
    """Capture into ``graph`` what is launched inside.

    On the caller's stream, because workspaces of libraries belong to a stream; on one of its own
    if that is the default stream, which cannot be captured.
    """
    torch.cuda.synchronize()
    if collect_garbage:  # slow, so once and not for each of many captures
        gc.collect()
        torch.cuda.empty_cache()
    caller = torch.cuda.current_stream()
    stream = torch.cuda.Stream() if caller == torch.cuda.default_stream() else caller
    stream.wait_stream(caller)
    with torch.cuda.stream(stream):
        graph.capture_begin(pool=pool)
        try:
            yield
        finally:
            graph.capture_end()
    caller.wait_stream(stream)


class CUDAGraphWrapper:
    """Calls ``runnable``, or replays what it launched, as the forward context says.

    In ``runtime_mode``, the first call for a batch descriptor captures and later ones replay. In
    any other mode, and outside of a forward context, ``runnable`` is called. A replay returns the
    captured output, which the next replay for that descriptor overwrites. An input that comes at
    another address than at capture is copied to where the graph reads it, and back if the graph
    writes it. Seed: ``CUDAGraphWrapper``.
    """

    # One pool for all graphs: they run one after another, never at once.
    _pool: Any = None

    def __init__(
        self,
        runnable: Callable[..., Any],
        vllm_config: VllmConfig,
        runtime_mode: CUDAGraphMode,
        cudagraph_options: CUDAGraphOptions | None = None,
    ) -> None:
        if runtime_mode not in (CUDAGraphMode.PIECEWISE, CUDAGraphMode.FULL):
            raise ValueError(
                f"a static graph runs in mode PIECEWISE or FULL, not {runtime_mode.name}"
            )
        self.runnable = runnable
        self.vllm_config = vllm_config
        self.runtime_mode = runtime_mode
        self.options = cudagraph_options or CUDAGraphOptions()
        self.entries: dict[BatchDescriptor, _Entry] = {}

    def __call__(self, *args: Any) -> Any:
        context = current_forward_context()
        if context is None or context.cudagraph_runtime_mode is not self.runtime_mode:
            return self.runnable(*args)
        descriptor = context.batch_descriptor
        if descriptor is None:
            raise ValueError(
                f"the forward context asks for {self.runtime_mode.name} graphs and has no "
                "batch_descriptor to tell which: pass one to set_forward_context"
            )
        entry = self.entries.get(descriptor)
        if entry is None:
            entry = self.entries[descriptor] = self._capture(descriptor, args)
        else:
            self._replay(entry, args)
            events.emit(events.Replay(descriptor, self.runtime_mode.name))
        return entry.output

    def _capture(self, descriptor: BatchDescriptor, args: tuple[Any, ...]) -> _Entry:
        if self.options.debug_log_enable:
            logger.debug("Capturing a %s graph for %s", self.runtime_mode.name, descriptor)
        inputs = [arg if isinstance(arg, torch.Tensor) else None for arg in args]
        versions = [None if each is None else _version(each) for each in inputs]
        entry = _Entry(torch.cuda.CUDAGraph(), inputs)
        if (prepare := getattr(self.runnable, "prepare", None)) is not None:
            prepare(*args)  # compiling is nothing that a graph could repeat
        with _capturing(entry.graph, self._shared_pool(), not self.options.gc_disable):
            entry.output = self.runnable(*args)
        entry.written = [
            position
            for position, (each, before) in enumerate(zip(inputs, versions, strict=True))
            if each is not None and (before is None or _version(each) != before)
        ]
        # A capture launches nothing: what the caller is given must be there.
        entry.graph.replay()
        events.emit(events.Capture(descriptor, self.runtime_mode.name))
        return entry

    @classmethod
    def _shared_pool(cls) -> Any:
        if CUDAGraphWrapper._pool is None:
            CUDAGraphWrapper._pool = torch.cuda.graph_pool_handle()
        return CUDAGraphWrapper._pool

    def _replay(self, entry: _Entry, args: tuple[Any, ...]) -> None:
        moved: list[tuple[int, torch.Tensor, torch.Tensor]] = []
        for position, captured in enumerate(entry.inputs):
            if captured is None:
                continue
            given = args[position]
            if given.data_ptr() != captured.data_ptr():
                if (given.shape, given.dtype) != (captured.shape, captured.dtype):
                    raise ValueError(
                        f"input {position} is {given.dtype} {tuple(given.shape)}, and the graph "
                        f"was captured for {captured.dtype} {tuple(captured.shape)}: batches "
                        "of one descriptor must have inputs of one kind"
                    )
                moved.append((position, captured, given))
        with torch.no_grad():
            for _, captured, given in moved:
                captured.copy_(given)
            entry.graph.replay()
            for position, captured, given in moved:
                if position in entry.written:
                    given.copy_(captured)

    def clear_graphs(self) -> None:
        """Forget all captured graphs and free their memory; the next calls capture anew."""
        self.entries.clear()

    def unwrap(self) -> Callable[..., Any]:
        """The callable that is wrapped."""
        return self.runnable


def wrap_with_cudagraph_if_needed(
    piecewise_backend: Any,
    vllm_config: VllmConfig,
    compilation_config: CompilationConfig,
    is_first_graph: bool,
    is_last_graph: bool,
) -> Any:
    """``piecewise_backend``, in the platform's static-graph wrapper if pieces are captured.

    They are not if Inductor partitions the graph: then its partitions are what is captured.
    Seed: ``wrap_with_cudagraph_if_needed``.
    """
    if (
        not compilation_config.cudagraph_mode.has_piecewise_cudagraphs()
        or compilation_config.use_inductor_graph_partition
    ):
        return piecewise_backend
    wrapper = resolve_qualified_name(
        current_platform().static_graph_wrapper_cls, "static-graph wrapper"
    )
    return wrapper(
        runnable=piecewise_backend,
        vllm_config=vllm_config,
        runtime_mode=CUDAGraphMode.PIECEWISE,
        cudagraph_options=CUDAGraphOptions(
            debug_log_enable=is_first_graph,
            gc_disable=not is_first_graph,
            weak_ref_output=is_last_graph,
        ),
    )
