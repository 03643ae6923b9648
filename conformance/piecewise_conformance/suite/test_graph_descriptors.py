"""GRAPH: many batch descriptors, emulated on a CPU, real on a GPU."""

from __future__ import annotations

import itertools
from contextlib import suppress
from typing import Any

import torch
from piecewise_conformance.core.marks import requirement
from piecewise_conformance.core.verdict import Unsupported, Violation
from piecewise_conformance.subject.subject import Subject
from piecewise_conformance.testkit.cudagraphs.graph_wrapper import Counted, Graphs, graphs, same

FACTS: dict[str, tuple[Any, ...]] = {
    "num_reqs": (None, 1, 11),
    "uniform": (False, True),
    "has_lora": (False, True),
}


def _grid(here: Graphs) -> list[dict[str, Any]]:
    """The facts of descriptors that differ, as far as the subject's class knows them."""
    known = {}
    for fact, values in FACTS.items():
        with suppress(Unsupported):
            here.descriptor(11, **{fact: values[-1]})
            known[fact] = values
    return [
        {"num_tokens": tokens, **dict(zip(known, values, strict=True))}
        # 111 and 1 look like 11 and 11 where nothing is between them
        for tokens, *values in itertools.product((11, 111), *known.values())
    ]


@requirement("GRAPH-010")
def test_each_pair_is_apart(subject: Subject, device: str) -> None:
    """Of all combinations of the facts of a descriptor each is replayed with its own computation,
    when all have been captured.
    """
    number = [0]
    with graphs(subject, device) as here:
        wrapped = here.wrap(lambda x: x * 2 + number[0])
        x, grid = here.tensor(4, 3), _grid(here)
        for judged, order in ((False, grid), (True, grid[::-1])):
            for facts in order:
                number[0] = grid.index(facts)
                with here.batch("PIECEWISE", here.descriptor(**facts)):
                    got = wrapped(x)
                if judged:
                    same(f"for a batch with {facts}", x * 2 + number[0], got)


@requirement("GRAPH-007")
def test_many_are_kept(subject: Subject, device: str) -> None:
    """As many sizes as an engine captures: none is captured again."""
    sizes = range(24, 0, -1)
    with graphs(subject, device) as here:
        counted = Counted(lambda x: x * 2)
        wrapped = here.wrap(counted)
        inputs = {size: torch.ones(size, 3, device=device) for size in sizes}
        for size in sizes:
            with here.batch("PIECEWISE", here.descriptor(size)):
                wrapped(inputs[size])
        before = counted.calls
        for size in sizes:
            with here.batch("PIECEWISE", here.descriptor(size)):
                wrapped(inputs[size])
            if counted.calls != before:
                raise Violation(
                    f"calls of the callable for {size} tokens, with {len(sizes)} graphs",
                    expected="none",
                    got=str(counted.calls - before),
                )
