"""How a timing is taken: checked first, on the processor's clock, with its order and its limit.

Every benchmark puts into ``extra_info`` what the tables are made from:

* ``group`` and ``by`` – who was measured: ``reference``, ``vllm``, or ``limit: NAME``
* ``size`` and ``unit`` – of how many what (nodes, entries, pieces, inputs)
* ``order`` – how the time is expected to grow: the exponent of size, 1 for linear
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

LINEAR, CONSTANT = 1.0, 0.0
LOGARITHMIC = 0.25  # what a logarithm looks like between 1 and some hundreds


def timed(
    benchmark: Any,
    call: Callable[[], Any],
    *,
    group: str,
    by: str = "reference",
    size: int,
    unit: str,
    order: float | None,
    check: Callable[[Any], None],
    setup: Callable[[], Any] | None = None,
    rounds: int | None = None,
) -> None:
    """Time ``call``, after its result passed ``check``, which raises AssertionError.

    With ``rounds``, each is one call, after ``setup``; without, pytest-benchmark chooses. ``order``
    is None for what has no size. The result is checked in a call of its own, which also warms.
    """
    if setup is not None:
        setup()
    check(call())
    benchmark.group = group
    benchmark.extra_info.update(by=by, size=size, unit=unit, order=order, group=group)
    if rounds is None:
        benchmark(call)
    else:
        benchmark.pedantic(call, setup=setup, rounds=rounds, iterations=1)
