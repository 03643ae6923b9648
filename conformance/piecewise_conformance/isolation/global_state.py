"""Torch's global state, and the process's, before and after."""

from __future__ import annotations

import gc
import logging
import os
import random
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..core.verdict import Violation

# What Inductor and Triton tell their own processes when they are first used, and pytest its tests.
_NOT_THE_USERS = ("TORCHINDUCTOR_", "_TORCHINDUCTOR_", "TRITON_", "PYTEST_CURRENT_TEST")


def _settings() -> list[Any]:
    """Torch's modules of settings."""
    import torch._dynamo.config
    import torch._functorch.config
    import torch._inductor.config
    import torch.compiler.config
    import torch.fx.experimental._config

    return [
        torch._dynamo.config,
        torch._functorch.config,
        torch._inductor.config,
        torch.compiler.config,
        torch.fx.experimental._config,
    ]


def _state() -> dict[str, Any]:
    import torch

    state: dict[str, Any] = {
        "the default dtype": torch.get_default_dtype(),
        "the default device": str(torch.get_default_device()),
        "grad mode": torch.is_grad_enabled(),
        "inference mode": torch.is_inference_mode_enabled(),
        "autocast on the CPU": torch.is_autocast_enabled("cpu"),
        "deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
        "the number of threads": torch.get_num_threads(),
        "the random state": bytes(torch.get_rng_state().tolist()),
        "Python's random state": random.getstate(),
        "the precision of float32 products": torch.get_float32_matmul_precision(),
        "the fake mode": torch._guards.detect_fake_mode(),
        "the dispatch modes": torch._C._len_torch_dispatch_stack(),
        "the current folder": os.getcwd(),
        "the environment": {
            name: value for name, value in os.environ.items() if not name.startswith(_NOT_THE_USERS)
        },
        "the search path": list(sys.path),
        "the recursion limit": sys.getrecursionlimit(),
        "garbage collection": gc.isenabled(),
        "the thresholds of garbage collection": gc.get_threshold(),
        "denormal numbers": bool(torch.full((8,), 1e-40).mul(1).count_nonzero()),
        "MKL-DNN": torch.backends.mkldnn.enabled,
        "cuDNN's choice by trial": torch.backends.cudnn.benchmark,
        "ways of attention": {
            name: enabled()
            for name, enabled in vars(torch.backends.cuda).items()
            if name.endswith("_sdp_enabled")
        },
        "filling of new memory": torch.utils.deterministic.fill_uninitialized_memory,  # type: ignore[attr-defined]  # a property of the module
        "the level of logging": (logging.getLogger().level, logging.root.manager.disable),
        "the level of torch's logging": logging.getLogger("torch").level,
        "the handler of SIGINT": signal.getsignal(signal.SIGINT),
        "the handler of SIGTERM": signal.getsignal(signal.SIGTERM),
    }
    for module in _settings():
        # all of it: a portable copy leaves out what no code depends on, such as numbers of threads
        state[module.__name__] = module.get_config_copy()
    return state


# What tests of the harness change, or torch itself when a part of it is first used.
_NOT_WATCHED = (
    "the random state",
    "Python's random state",
    "the search path",
    "the recursion limit",
    "the fake mode",
    "the dispatch modes",
    "the handler of SIGINT",
    "the handler of SIGTERM",
)


def watched() -> dict[str, Any]:
    """What a test must leave as it found it, whatever it is a test of."""
    return {name: value for name, value in _state().items() if name not in _NOT_WATCHED}


def changes(before: dict[str, Any], after: dict[str, Any]) -> list[tuple[str, str, str]]:
    """What differs: its name, and how it was and is."""
    return [
        (name, *_difference(value, after[name]))
        for name, value in before.items()
        if value != after[name]
    ]


def put_back_settings(before: dict[str, Any]) -> None:
    """Give torch's modules of settings the values of ``before``."""
    for module in _settings():
        now = module.get_config_copy()
        # what changed alone: to set a setting that is deprecated is a warning
        changed = {k: v for k, v in before[module.__name__].items() if now.get(k) != v}
        module.load_config(changed)


def _difference(before: Any, after: Any) -> tuple[str, str]:
    if isinstance(before, dict) and isinstance(after, dict):
        keys = [key for key in {**before, **after} if before.get(key) != after.get(key)]
        had, has = (str({k: each[k] for k in keys if k in each}) for each in (before, after))
        return had[:500], has[:500]
    return str(before)[:200], str(after)[:200]


@contextmanager
def _unusual() -> Iterator[None]:
    """Settings that nobody else chooses.

    Who sets one of them to a value of his own has often done so before, in another test: where
    that value stood already, setting it once more would not be seen.
    """
    import torch
    import torch._dynamo.config as dynamo
    import torch.fx.experimental._config as config_of_tracing

    tracing: Any = config_of_tracing  # has its methods from where mypy cannot see
    root = logging.getLogger()
    precision, threads = torch.get_float32_matmul_precision(), torch.get_num_threads()
    limit, level, collecting = sys.getrecursionlimit(), root.level, gc.isenabled()
    thresholds, attention = gc.get_threshold(), torch.backends.cuda
    torchs, by_flash = logging.getLogger("torch"), attention.flash_sdp_enabled()
    torchs_level = torchs.level
    torch.rand(1017)  # a state that no seed gives, nor a seed and a few draws
    random.getrandbits(10_017)
    torch.set_float32_matmul_precision("high" if precision == "medium" else "medium")
    torch.set_num_threads(threads + 1)
    sys.setrecursionlimit(limit + 17)
    root.setLevel(level + 1)
    (gc.disable if collecting else gc.enable)()
    gc.set_threshold(thresholds[0] + 17, *thresholds[1:])
    torchs.setLevel((torchs_level or logging.WARNING) + 1)
    attention.enable_flash_sdp(not by_flash)
    torch.set_flush_denormal(False)  # nobody can ask for it, and it is off unless somebody set it
    try:
        with (
            dynamo.patch(recompile_limit=dynamo.recompile_limit + 17),
            tracing.patch(use_duck_shape=not tracing.use_duck_shape),
        ):
            yield
    finally:
        torch.set_float32_matmul_precision(precision)
        torch.set_num_threads(threads)
        sys.setrecursionlimit(limit)
        root.setLevel(level)
        (gc.enable if collecting else gc.disable)()
        gc.set_threshold(*thresholds)
        torchs.setLevel(torchs_level)
        attention.enable_flash_sdp(by_flash)


def first_use_of_inductor() -> None:
    """What torch itself changes when Inductor first compiles, such as the search path, is done."""
    import torch

    torch.compile(torch.neg)(torch.ones(3))


@contextmanager
def unchanged() -> Iterator[None]:
    """What is done inside must leave torch's global state, and the process's, as it was."""
    with _unusual():
        before = _state()
        yield
        after = _state()
    for name, expected, got in changes(before, after):
        raise Violation(f"{name} was changed", expected=expected, got=got)
