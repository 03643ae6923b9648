"""Let Inductor cut the graph, instead of cutting it beforehand.

The graph is compiled as a whole, and Inductor's scheduler makes a partition of what lies between
two splitting ops. That sees through to kernels, after fusion, where cutting the FX graph does not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch._inductor.config as inductor_config


@contextmanager
def inductor_partition_rule_context(splitting_ops: Sequence[str]) -> Iterator[None]:
    """Inside, Inductor partitions at ``splitting_ops``, and at nothing that was named before.

    Names are ``ns::op`` or ``ns::op.overload``. Seed: ``inductor_partition_rule_context``.
    """
    rules = {"graph_partition": True, "custom_should_partition_ops": sorted(splitting_ops)}
    with inductor_config.patch(rules):
        yield
