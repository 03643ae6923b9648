"""Detect pieces that write to memory which they receive twice: as a tensor and as a view of it.

AOTAutograd, and therefore Inductor, compiles such a piece for a *base*, the whole memory behind
both. The size of that memory, and the offsets in it, are known only for the example inputs. If the
caller passes a slice of a larger buffer next time, the code is wrong or fails. Guards would detect
this, but a backend that is called once has none. The unsplit graph does not have this problem,
because the view is made inside; splitting causes it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, fx
from torch._dispatch.python import enable_python_dispatcher
from torch._guards import detect_fake_mode
from torch._ops import HigherOrderOperator
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode


def writes_shared_memory(graph: fx.GraphModule, example_inputs: Sequence[Any]) -> bool:
    """Whether ``graph`` may write to memory that two of ``example_inputs`` share.

    The graph is run on fake tensors, which count writes like other tensors.
    """
    memory = {
        at: each.untyped_storage()._cdata
        for at, each in enumerate(example_inputs)
        if isinstance(each, Tensor) and each.layout is torch.strided
    }
    count = Counter(memory.values())
    shared = [at for at, each in memory.items() if count[each] > 1]
    if not shared:
        return False  # the usual case, in which the graph is not run
    if any(map(_is_opaque, graph.graph.nodes)):
        return True
    mode = detect_fake_mode(example_inputs) or FakeTensorMode()
    # Running the graph must not change grad mode or the symbols of the trace.
    with torch.set_grad_enabled(torch.is_grad_enabled()), mode, _without_new_symbols(mode):
        inputs = [_alias(mode, e) if isinstance(e, Tensor) else e for e in example_inputs]
        if any(inputs[at].is_inference() for at in shared):
            return True  # they do not count writes
        before = [inputs[at]._version for at in shared]
        _OnFakes(graph).run(*inputs)
    return [inputs[at]._version for at in shared] != before


def _is_opaque(node: fx.Node) -> bool:
    """Whether fake tensors may miss writes of ``node``, for example of a Triton kernel."""
    return node.op == "call_module" or isinstance(node.target, HigherOrderOperator)


class _OnFakes(fx.Interpreter):
    """Runs a graph on fake tensors, including fakes of the tensors in its attributes."""

    def get_attr(self, target: Any, args: Any, kwargs: Any) -> Any:
        value = super().get_attr(target, args, kwargs)
        if isinstance(value, Tensor) and (mode := detect_fake_mode()) is not None:
            return mode.from_tensor(value, static_shapes=True)
        return value


def _alias(mode: FakeTensorMode, tensor: Tensor) -> Tensor:
    """A second fake tensor with the same memory and its own shape."""
    if not isinstance(tensor, FakeTensor):
        tensor = mode.from_tensor(tensor, static_shapes=True)
    return torch.ops.aten.alias(tensor.detach())


@contextmanager
def _without_new_symbols(mode: FakeTensorMode) -> Iterator[None]:
    with ExitStack() as stack:
        stack.enter_context(enable_python_dispatcher())
        if mode.shape_env is not None:
            stack.enter_context(mode.shape_env.ignore_fresh_unbacked_symbols())
        yield
