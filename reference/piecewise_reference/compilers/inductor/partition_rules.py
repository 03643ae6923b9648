"""Let Inductor partition the graph instead of splitting the FX graph.

The graph is compiled as a whole, and Inductor's scheduler creates a partition between each two
splitting ops. It works on kernels, after fusion, which splitting the FX graph cannot do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch._inductor.config as inductor_config


@contextmanager
def inductor_partition_rule_context(splitting_ops: Sequence[str]) -> Iterator[None]:
    """A context in which Inductor partitions exactly at ``splitting_ops``.

    Names are ``ns::op`` or ``ns::op.overload``. Seed: ``inductor_partition_rule_context``.
    """
    rules = {"graph_partition": True, "custom_should_partition_ops": sorted(splitting_ops)}
    with inductor_config.patch(rules):
        yield
