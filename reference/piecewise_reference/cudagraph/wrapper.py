"""``CUDAGraphWrapper``: record the kernels of a callable once, and replay them without Python.

A replay reads the captured addresses, writes to the captured outputs, and runs no Python.
Everything here follows from these three facts.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import nn
from torch.utils import _pytree as pytree

from .. import events
from ..config.modes import CUDAGraphMode
from ..config.vllm_config import CompilationConfig, VllmConfig
from ..platforms import current_platform, resolve_qualified_name
from .forward_context import BatchDescriptor, current_forward_context
from .kernel_launches import launches_kernels
from .static_inputs import copy_all, distinct, without_buffers
from .weights import Weights

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CUDAGraphOptions:
    """Options of the wrapper.

    ``debug_log_enable`` logs captures. ``gc_disable`` disables the garbage collector during a
    capture. ``weak_ref_output`` is accepted for users of the seed's class and has no effect: the
    wrapper always owns the output of a captured graph (docs/deviations.md).
    """

    debug_log_enable: bool = True
    gc_disable: bool = False
    weak_ref_output: bool = False


@dataclass
class _Entry:
    """One captured graph, and the tensors that it reads and writes. They are kept alive, so their
    memory is not reused while the graph can be replayed.
    """

    graph: torch.cuda.CUDAGraph
    inputs: tuple[Any, ...]  # the inputs without their containers: see _alias
    tree: pytree.TreeSpec  # the containers
    is_flat: bool  # no containers and no keywords
    weights: Weights  # of the callable, in addition to its inputs
    written: list[int] = field(default_factory=list)  # positions that the callable writes
    output: Any = None


def _kind(value: Any) -> Any:
    """The properties of an argument that a captured graph cannot change, or its value."""
    if isinstance(value, torch.Tensor):
        repeated = [
            dim for dim, stride in enumerate(value.stride()) if stride == 0 and value.shape[dim] > 1
        ]
        return tuple(value.shape), value.dtype, value.device, repeated
    return type(value), value  # 2 is equal to 2.0, and makes another dtype


def _alias(value: Any) -> Any:
    """A second tensor with the same memory. If the caller assigns to ``data``, the original has new
    memory while the graph still reads the old one.
    """
    return value.detach() if isinstance(value, torch.Tensor) else value


def _flat(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[list[Any], pytree.TreeSpec]:
    """The leaves and the container structure of ``args`` and ``kwargs``, keywords sorted."""
    return pytree.tree_flatten((args, dict(sorted(kwargs.items()))))


def _inputs_for(entry: _Entry, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
    """The inputs of a call in the order of ``entry``; ValueError for other containers."""
    if entry.is_flat and not kwargs:
        return args  # a container among them is seen to be no tensor
    inputs, tree = _flat(args, kwargs)
    if tree != entry.tree:
        raise ValueError(
            f"the inputs are {tree}, and the graph was captured for {entry.tree}: batches of one "
            "descriptor must have inputs in the same containers and by the same keywords"
        )
    return tuple(inputs)


def _reads_old_weights(entry: _Entry, args: tuple[Any, ...]) -> bool:
    """Whether a weight was replaced since the capture. Pieces receive weights as arguments; copying
    these at every replay, like other inputs, would be correct but slow.
    """
    return entry.weights.exchanged() or any(
        isinstance(given, nn.Parameter)
        and isinstance(captured, torch.Tensor)
        and given.data_ptr() != captured.data_ptr()
        for given, captured in zip(args, entry.inputs, strict=False)
    )


def _sharing(values: tuple[Any, ...]) -> list[tuple[int, int]]:
    """For each position, the first tensor with the same memory and the offset from it."""
    first: dict[int, tuple[int, int]] = {}
    found = []
    for position, value in enumerate(values):
        if isinstance(value, torch.Tensor) and value.numel():
            begin = value.untyped_storage().data_ptr()
            start, address = first.setdefault(begin, (position, value.data_ptr()))
            found.append((start, value.data_ptr() - address))
        else:
            found.append((position, 0))
    return found


def _version(tensor: torch.Tensor) -> int | None:
    """The number of writes to ``tensor``; None for inference tensors, which torch does not
    count.
    """
    return None if tensor.is_inference() else tensor._version


def _count_writes(tensors: list[torch.Tensor]) -> None:
    """Count a write to each tensor, because torch does not count the writes of a replay."""
    for each in tensors:
        if not each.is_inference():
            torch.autograd.graph.increment_version(each)


# All live graphs, each with the stream on which it was captured.
_captured: WeakKeyDictionary[torch.cuda.CUDAGraph, torch.cuda.Stream] = WeakKeyDictionary()


@contextmanager
def _capturing(graph: torch.cuda.CUDAGraph, collect_garbage: bool) -> Iterator[None]:
    """Capture the kernels that are launched inside into ``graph``.

    All graphs of a device share a pool, because they never run at the same time. The pool ends with
    its last graph, so the handle is taken from a live graph and not stored.

    The capture uses the caller's stream, because libraries allocate a workspace of tens of
    megabytes for each stream. The default stream cannot be captured; the stream of the other
    captures is used instead.
    """
    torch.cuda.synchronize()
    if collect_garbage:  # slow, so once rather than for each capture
        gc.collect()
        torch.cuda.empty_cache()
    caller = torch.cuda.current_stream()
    stream = caller
    other = next((each for each, on in _captured.items() if on.device == caller.device), None)
    if caller == torch.cuda.default_stream():
        stream = torch.cuda.Stream() if other is None else _captured[other]
    pool = None if other is None else other.pool()
    stream.wait_stream(caller)
    with torch.cuda.stream(stream):
        graph.capture_begin(pool=pool)
        try:
            yield
        except BaseException:
            with suppress(RuntimeError):  # which says no more than that something failed before
                graph.capture_end()
            raise
        graph.capture_end()
    caller.wait_stream(stream)
    _captured[graph] = stream


class CUDAGraphWrapper:
    """Call ``runnable``, or replay its kernels, depending on the forward context.

    In ``runtime_mode``, the first call for a batch descriptor captures, and later calls replay. In
    any other mode, and outside of a forward context, ``runnable`` is called. A replay returns the
    captured output, which the next batch may overwrite: all graphs share a pool, so a graph may
    compute in memory that holds the output of a graph captured later. An input at another address
    than at capture is copied to the captured address, and back if the graph writes it; the tensor
    at the captured address keeps its values. An input of another kind raises ValueError. Inputs may
    be keywords and may be in containers that torch's pytree knows. If weights of the model were
    replaced by other tensors, the next call captures again. Seed: ``CUDAGraphWrapper``.
    """

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

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        context = current_forward_context()
        if context is None or context.cudagraph_runtime_mode is not self.runtime_mode:
            return self.runnable(*args, **kwargs)
        descriptor = context.batch_descriptor
        if descriptor is None:
            raise ValueError(
                f"the forward context asks for {self.runtime_mode.name} graphs and has no "
                "batch_descriptor to tell which: pass one to set_forward_context"
            )
        entry = self.entries.get(descriptor)
        if entry is not None and _reads_old_weights(entry, args):
            entry = None
        if entry is None:
            entry = self.entries[descriptor] = self._capture(descriptor, args, kwargs)
            return entry.output
        output = self._replay(entry, _inputs_for(entry, args, kwargs))
        events.emit(events.Replay(descriptor, self.runtime_mode.name))
        return output

    def _capture(
        self, descriptor: BatchDescriptor, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> _Entry:
        if self.options.debug_log_enable:
            logger.debug("Capturing a %s graph for %s", self.runtime_mode.name, descriptor)
        inputs, tree = _flat(args, kwargs)
        is_flat = not kwargs and [*map(id, inputs)] == [*map(id, args)]
        tensors = [(i, each) for i, each in enumerate(inputs) if isinstance(each, torch.Tensor)]
        versions = [_version(each) for _, each in tensors]
        weights = Weights(self.runnable)
        held = tuple(map(_alias, inputs))
        entry = _Entry(torch.cuda.CUDAGraph(), held, tree, is_flat, weights)
        if (prepare := getattr(self.runnable, "prepare", None)) is not None:
            prepare(*args, **kwargs)  # a graph cannot repeat a compile
        with _capturing(entry.graph, not self.options.gc_disable):
            entry.output = self.runnable(*args, **kwargs)
        entry.written = [
            position
            for (position, each), before in zip(tensors, versions, strict=True)
            if before is None or _version(each) != before
        ]
        # A capture launches nothing, but the caller needs the result.
        entry.graph.replay()
        events.emit(events.Capture(descriptor, self.runtime_mode.name))
        return entry

    def _replay(self, entry: _Entry, args: tuple[Any, ...]) -> Any:
        moved = self._moved(entry, args)
        _count_writes([args[position] for position in entry.written if position not in moved])
        if not moved:
            entry.graph.replay()
            return entry.output
        captured = [distinct(entry.inputs[position]) for position in moved]
        given = [distinct(args[position]) for position in moved]
        with torch.no_grad():
            # Through copies: the captured memory may be in use, and may overlap the new one.
            before = [each.clone() for each in captured]
            copy_all(captured, [each.clone() for each in given])
            entry.graph.replay()
            after = [each.clone() for each in captured]
            copy_all(captured, before)
            for position, target, values in zip(moved, given, after, strict=True):
                if position in entry.written:
                    target.copy_(values)
        return without_buffers(
            entry.output,
            [entry.inputs[position] for position in moved],
            [args[position] for position in moved],
        )

    def _moved(self, entry: _Entry, args: tuple[Any, ...]) -> list[int]:
        """The positions of inputs with another address than at capture; ValueError for an input of
        another kind.
        """
        if len(args) != len(entry.inputs):
            raise ValueError(f"{len(args)} inputs, and the graph was captured with another number")
        moved = []
        for position, (given, captured) in enumerate(zip(args, entry.inputs, strict=True)):
            if _kind(given) != _kind(captured):
                raise ValueError(
                    f"input {position} is {_kind(given)}, and the graph was captured for "
                    f"{_kind(captured)}: batches of one descriptor must have inputs of one kind"
                )
            if not isinstance(captured, torch.Tensor):
                continue
            if given.data_ptr() != captured.data_ptr():
                moved.append(position)
            elif given.stride() != captured.stride():
                raise ValueError(
                    f"input {position} has strides {given.stride()}, and had "
                    f"{captured.stride()} at the same address when the graph was captured"
                )
        if moved and _sharing(args) != _sharing(entry.inputs):
            raise ValueError(
                "the inputs share memory in another way than when the graph was captured"
            )
        return moved

    def clear_graphs(self) -> None:
        """Discard all captured graphs and free their memory. The next calls capture again."""
        self.entries.clear()

    def unwrap(self) -> Callable[..., Any]:
        """The wrapped callable."""
        return self.runnable


def wrap_with_cudagraph_if_needed(
    piecewise_backend: Any,
    vllm_config: VllmConfig,
    compilation_config: CompilationConfig,
    is_first_graph: bool,
    is_last_graph: bool,
) -> Any:
    """Wrap ``piecewise_backend`` in the platform's static-graph wrapper if pieces are captured.

    If Inductor partitions the graph, its partitions are captured instead of the pieces. A piece
    that only allocates is not captured, because its graph would be empty. Seed:
    ``wrap_with_cudagraph_if_needed``.
    """
    if (
        not compilation_config.cudagraph_mode.has_piecewise_cudagraphs()
        or compilation_config.use_inductor_graph_partition
    ):
        return piecewise_backend
    if not launches_kernels(piecewise_backend.graph.graph):
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
