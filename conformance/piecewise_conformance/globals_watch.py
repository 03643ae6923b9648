"""Torch's global state, before and after."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .verdict import Violation


def _state() -> dict[str, Any]:
    import torch._dynamo.config
    import torch._functorch.config
    import torch._inductor.config

    state: dict[str, Any] = {
        "the default dtype": torch.get_default_dtype(),
        "the default device": str(torch.get_default_device()),
        "grad mode": torch.is_grad_enabled(),
        "inference mode": torch.is_inference_mode_enabled(),
        "autocast on the CPU": torch.is_autocast_enabled("cpu"),
        "deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
        "the number of threads": torch.get_num_threads(),
        "the random state": bytes(torch.get_rng_state().numpy()),
        "the fake mode": torch._guards.detect_fake_mode(),
        "the dispatch modes": torch._C._len_torch_dispatch_stack(),
        "the current folder": os.getcwd(),
        "the handler of SIGINT": signal.getsignal(signal.SIGINT),
        "the handler of SIGTERM": signal.getsignal(signal.SIGTERM),
    }
    for module in (torch._dynamo.config, torch._functorch.config, torch._inductor.config):
        state[module.__name__] = module.save_config_portable()  # type: ignore[attr-defined]  # installed
    return state


def _difference(before: Any, after: Any) -> tuple[str, str]:
    if isinstance(before, dict) and isinstance(after, dict):
        keys = [key for key in before if before[key] != after.get(key)]
        return str({key: before[key] for key in keys}), str({key: after.get(key) for key in keys})
    return str(before)[:200], str(after)[:200]


@contextmanager
def unchanged() -> Iterator[None]:
    """What is done inside must leave torch's global state, and the process's, as it was."""
    before = _state()
    yield
    after = _state()
    for name, value in before.items():
        if value != after[name]:
            expected, got = _difference(value, after[name])
            raise Violation(f"{name} was changed", expected=expected, got=got)
