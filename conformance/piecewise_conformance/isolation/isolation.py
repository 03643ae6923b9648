"""What one test's subject does to its process, undone before the next test.

That a backend leaves global state alone is a requirement of its own; the other requirements must
not fail because of it. A process that was forked in a test ends where the test does: it is
no worker.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import logging
import os
import resource
import signal
import sys
from collections.abc import Iterator
from typing import Any

from ..core.boundary import chain

# Where torch keeps what it compiled, which a backend may choose: another test's may be damaged.
_TORCHS_CACHES = ("TORCHINDUCTOR_", "TRITON_")
_TRACED_BY = ("TORCH_TRACE", "TORCH_DTRACE", "TORCH_COMPILE_DEBUG")  # who sets one wants a trace
_MANY_MODULES = 50
_NO_MEMORY = ("can't allocate memory", "cannot allocate memory", "std::bad_alloc")


class Isolation:
    """Kept by a worker. ``memory`` is what its process may allocate, in MiB; 0 is no limit."""

    def __init__(self, memory: int = 0) -> None:
        self.memory = memory
        self.process = os.getpid()
        self.handlers: dict[int, Any] = {}
        self.torch: dict[str, Any] = {}
        self.caches: dict[str, str] = {}
        self.modules = 0
        if memory:
            # Private memory that can be written: address space as such, of which CUDA takes
            # terabytes, and files that are mapped, do not count.
            _, hard = resource.getrlimit(resource.RLIMIT_DATA)
            soft = memory << 20
            limit = soft if hard == resource.RLIM_INFINITY else min(soft, hard)
            resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))

    def freeze(self) -> None:
        """Take what is there by now out of the collector's sight; it stays to the end.

        A capture collects garbage, and would look through torch, Dynamo and the suite each time.
        """
        gc.collect()
        gc.freeze()
        self.modules = len(sys.modules)

    def begin(self) -> None:
        """Remember how things are before a test."""
        if len(sys.modules) > self.modules + _MANY_MODULES:  # Inductor, transformers
            self.freeze()
        self.handlers = {each: signal.getsignal(each) for each in signal.valid_signals()}
        self.torch = _torch_state()
        self.caches = _caches()

    def end(self) -> None:
        """Put them back."""
        self.end_if_forked()
        for number, handler in self.handlers.items():
            if handler is not None and signal.getsignal(number) is not handler:
                with contextlib.suppress(OSError, ValueError):
                    signal.signal(number, handler)
        with contextlib.suppress(AttributeError, OSError):
            signal.setitimer(signal.ITIMER_REAL, 0)
        for name in _caches().keys() - self.caches.keys():
            del os.environ[name]
        os.environ.update(self.caches)
        if self.torch:
            _restore_torch(self.torch)

    def end_if_forked(self) -> None:
        """End this process if it is a copy of the worker."""
        if os.getpid() != self.process:
            os._exit(0)

    def out_of_memory(self, error: BaseException) -> bool:
        """Whether a test ended because the limit was reached."""
        if not self.memory:
            return False
        return any(
            isinstance(each, MemoryError)
            or any(word in str(each).lower() for word in _NO_MEMORY if isinstance(each, Exception))
            for each in chain(error)
        )


@contextlib.contextmanager
def torch_settled() -> Iterator[None]:
    """Torch's state after it is that before."""
    state = _torch_state()
    try:
        yield
    finally:
        _restore_torch(state)


def _caches() -> dict[str, str]:
    return {name: each for name, each in os.environ.items() if name.startswith(_TORCHS_CACHES)}


def _torch_state() -> dict[str, Any]:
    torch = sys.modules.get("torch")
    if torch is None or not hasattr(torch, "get_default_dtype"):
        return {}
    from ..core import thread_modes  # which imports torch

    return {
        "dtype": torch.get_default_dtype(),
        "threads": torch.get_num_threads(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "precision": torch.get_float32_matmul_precision(),
        "modes": thread_modes.now(),
    }


def _restore_torch(state: dict[str, Any]) -> None:
    import torch

    from ..core import thread_modes

    now = _torch_state()
    if now["dtype"] is not state["dtype"]:
        torch.set_default_dtype(state["dtype"])
    if now["threads"] != state["threads"]:
        torch.set_num_threads(state["threads"])
    if now["deterministic"] != state["deterministic"]:
        torch.use_deterministic_algorithms(state["deterministic"])
    if now["precision"] != state["precision"]:
        torch.set_float32_matmul_precision(state["precision"])
    thread_modes.put_back(state["modes"])


def settle_torch() -> None:
    """Torch neither traces nor measures itself: that took a fifth of a run.

    pytest has a handler of its own on each logger that does not propagate, and torch takes any
    handler on its structured trace for the wish to have one, which we leave to the user. To time
    the guards of a graph, which nobody here reads, it flushes the processor's cache.
    """
    if not any(name in os.environ for name in _TRACED_BY):
        trace = logging.getLogger("torch.__trace")
        trace.handlers.clear()
        trace.propagate = True
    guards: Any = importlib.import_module("torch._dynamo.guards")
    if hasattr(guards, "profile_guard_manager"):
        guards.profile_guard_manager = lambda *measured: 0.0


def settle_hypothesis() -> None:
    """A verdict repeats: examples are the same in each run, and no clock decides."""
    try:
        import hypothesis
    except ImportError:
        return
    hypothesis.settings.register_profile(
        "piecewise", derandomize=True, deadline=None, database=None, report_multiple_bugs=False
    )
    hypothesis.settings.load_profile("piecewise")
