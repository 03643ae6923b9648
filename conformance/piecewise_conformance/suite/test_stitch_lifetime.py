"""STITCH: what a model leaves behind, and what it reads anew at each call."""

from __future__ import annotations

import gc
import logging
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
import torch
from piecewise_conformance.core.boundary import crossing, inside_subject
from piecewise_conformance.core.marks import requirement
from piecewise_conformance.core.verdict import Violation
from piecewise_conformance.subject.subject import Subject
from piecewise_conformance.testkit.capture_cache import settle
from piecewise_conformance.testkit.drive import Driven, options_for
from piecewise_conformance.testkit.graph_capture import mark_dynamic
from piecewise_conformance.testkit.models.weights import EXCHANGES, weighted
from piecewise_fixtures.programs import Program
from torch._dynamo.eval_frame import remove_from_cache
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._pytree import tree_leaves

Held = dict[str, list[Callable[[], bool]]]  # what is held weakly, each with whether it is alive


@contextmanager
def _unlogged() -> Iterator[None]:
    """Log records, which a test runner keeps, hold what they tell of."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


def _weakly(value: Any) -> list[Callable[[], bool]]:
    tensors = [each for each in tree_leaves(value) if isinstance(each, torch.Tensor)]
    return [partial(_lives, StorageWeakRef(each.untyped_storage())) for each in tensors]


def _lives(storage: StorageWeakRef) -> bool:
    return not storage.expired()


def _live_and_die(subject: Subject, chosen: Program, sizes: tuple[int, ...]) -> Held:
    """Compile a model, call it and drop it; all that it had."""
    options = options_for(subject, chosen, compile_sizes=sizes)
    subject.check_offers(options)
    model = chosen.build()
    held: Held = {"weights": _weakly(list(model.parameters())), "graph": []}

    def compile(graph: torch.fx.GraphModule, example_inputs: Any) -> Any:
        reference = weakref.ref(graph)
        held["graph"].append(lambda: reference() is not None)
        return crossing("the compiled model", subject.backend(options)(graph, example_inputs))

    compiled = torch.compile(model, backend=compile, fullgraph=True)
    for size in (6, 4, 6):
        args = chosen.inputs(size)
        mark_dynamic(chosen, args)
        with torch.no_grad(), inside_subject("the compiled model"):
            outputs = compiled(*args)
        for what, value in (("inputs", args), ("results", outputs)):
            held[what] = held.get(what, []) + _weakly(value)
    remove_from_cache(chosen.module.forward)
    return held


@requirement("STITCH-008")
@pytest.mark.parametrize("sizes", [(), (6,)], ids=["range", "single-size"])
def test_nothing_outlives_the_model(subject: Subject, sizes: tuple[int, ...]) -> None:
    """A model was called three times, and is gone from Dynamo's cache, too."""
    settle()
    with _unlogged():
        held = _live_and_die(subject, weighted(), sizes)
    settle()
    gc.collect()
    for what, found in held.items():
        if alive := sum(is_alive() for is_alive in found):
            raise Violation(
                f"the {what} of a deleted model", expected="freed", got=f"{alive} kept alive"
            )


@requirement("STITCH-009")
@pytest.mark.parametrize("way", EXCHANGES)
def test_weights_of_each_call(subject: Subject, way: str) -> None:
    """Weights and buffers are exchanged for others between two calls, twice."""
    settle()
    chosen = weighted()
    driven = Driven(subject, chosen, options_for(subject, chosen), live=True)
    for factor in (1, 2, 3):
        for module in (driven.plain, driven.module):
            EXCHANGES[way](module, factor)
        for size in (6, 4):
            driven.check(size)
