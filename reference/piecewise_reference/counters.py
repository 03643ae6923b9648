"""The seed's counters, all derived from the event trace.

Their meaning does not depend on the release of torch, because nothing increments them directly.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

from . import events


@dataclass
class CompilationCounter:
    """How often each action happened in this process. Seed: ``compilation_counter``."""

    num_graphs_seen: int = 0
    num_piecewise_graphs_seen: int = 0
    num_piecewise_capturable_graphs_seen: int = 0
    # requests to the manager: compiled, or found in the cache
    num_backend_compilations: int = 0
    num_inductor_compiles: int = 0
    num_eager_compiles: int = 0
    num_cache_entries_updated: int = 0
    num_compiled_artifacts_saved: int = 0
    num_compiled_artifacts_loaded: int = 0
    num_cudagraph_captured: int = 0

    def count(self, event: events.Event) -> None:
        """Count ``event``."""
        if isinstance(event, events.Split):
            self.num_graphs_seen += 1
            self.num_piecewise_graphs_seen += event.pieces
            self.num_piecewise_capturable_graphs_seen += event.pieces - event.splitting
        elif isinstance(event, events.Compile):
            self.num_backend_compilations += 1
            self.num_inductor_compiles += event.compiler.startswith("inductor")
            self.num_eager_compiles += event.compiler == "eager"
            self.num_cache_entries_updated += event.saved
            self.num_compiled_artifacts_saved += event.saved
        elif isinstance(event, events.CacheHit):
            self.num_backend_compilations += 1
            self.num_compiled_artifacts_loaded += 1
        elif isinstance(event, events.Capture):
            self.num_cudagraph_captured += 1

    @contextmanager
    def expect(self, **changes: int) -> Iterator[None]:
        """Raise AssertionError unless the named counters grow by exactly this much inside."""
        before = asdict(self)
        yield
        after = asdict(self)
        for name, change in changes.items():
            if after[name] - before[name] != change:
                raise AssertionError(
                    f"{name} grew by {after[name] - before[name]}, expected {change}"
                )


compilation_counter = CompilationCounter()
events.subscribe(compilation_counter.count)
