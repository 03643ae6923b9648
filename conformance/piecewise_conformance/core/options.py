"""What a test asks a subject to be configured as, in terms that every subject can translate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class Options:
    """A neutral configuration. An adapter turns it into its subject's own, or refuses.

    ``compiler`` is ``"eager"`` (pieces run as they are), ``"inductor"``, ``"own"`` (whatever the
    subject normally does), or the qualified name of a class with the seed's compiler interface.
    ``compile_sizes`` and ``compile_ranges_endpoints`` are in tokens: the ranges are [1, e1],
    [e1+1, e2], ..., up to ``max_num_batched_tokens``. ``cache_root`` is the folder under which
    caches go; None means that there is to be no cache. An empty ``prefix`` leaves it to the model
    tag. ``cudagraph_mode`` is the name of a CUDAGraphMode, and ``cudagraph_capture_sizes`` are the
    sizes that graphs are captured for. With ``partition_in_inductor`` the graph is not split, and
    Inductor partitions it at the splitting ops. ``standalone`` chooses between Inductor's
    standalone compile and ``compile_fx``, ``save_format`` (binary or unpacked) how the former keeps
    artifacts; with ``collect_artifacts`` they go into a serialized function. ``evaluate_guards``
    keeps guards on shapes. ``dynamic_shapes`` tells how the batch size is traced, which the harness
    does: BACKED, UNBACKED or BACKED_SIZE_OBLIVIOUS.
    """

    compiler: str = "eager"
    splitting_ops: tuple[str, ...] = ()
    max_num_batched_tokens: int = 64
    compile_sizes: tuple[int, ...] = ()
    compile_ranges_endpoints: tuple[int, ...] = ()
    cache_root: str | None = None
    prefix: str = "backbone"
    rank: int = 0
    data_parallel_index: int = 0
    traced_files: tuple[str, ...] = ()
    compiler_config: Mapping[str, Any] = field(default_factory=dict)
    copy_inputs: bool = False
    cudagraph_mode: str = "NONE"
    cudagraph_capture_sizes: tuple[int, ...] = ()
    partition_in_inductor: bool = False
    standalone: bool = True
    save_format: str = "binary"
    collect_artifacts: bool = False
    evaluate_guards: bool = False
    dynamic_shapes: str = "BACKED"

    def but(self, **changes: Any) -> Options:
        """The same options with ``changes``."""
        return replace(self, **changes)
