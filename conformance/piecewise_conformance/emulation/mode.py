"""The dispatch mode that is on throughout an emulation.

In a capture it records. Outside of one it watches for reads of memory whose content is gone.
"""

from __future__ import annotations

from typing import Any

import torch
from torch._ops import HigherOrderOperator
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from . import rules
from .device import Emulation


class Watching(TorchDispatchMode):
    """Sees every op that reaches the dispatcher."""

    supports_higher_order_operators = True

    def __init__(self, emulation: Emulation) -> None:
        super().__init__()
        self.emulation = emulation

    @classmethod
    def ignore_compile_internals(cls) -> bool:
        """torch.compile works as it does without the mode."""
        return True

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Record ``func``, or let it pass."""
        kwargs = kwargs or {}
        tensors = [e for e in pytree.tree_leaves((args, kwargs)) if isinstance(e, torch.Tensor)]
        if not all(map(rules.is_plain, tensors)):
            return func(*args, **kwargs)  # a tracer's
        capture = self.emulation.capture
        if isinstance(func, HigherOrderOperator):
            if capture is not None:
                capture.refuse_higher_order(func)
            return func(*args, **kwargs)  # its branches are not watched
        if capture is not None:
            device = kwargs.get("device")
            if device is not None and torch.device(device).type != "cpu":
                return func(*args, **kwargs)
            return capture.dispatch(self, func, args, kwargs)
        if not rules.is_pure_view(func):
            for tensor in tensors:
                self.emulation.check_alive(tensor, rules.name_of(func))
        return func(*args, **kwargs)
