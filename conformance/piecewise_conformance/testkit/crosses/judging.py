"""Compile and call one model in a combination of modes, and judge all that a caller can see."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from piecewise_fixtures.programs import Program, program
from torch import nn
from torch._dynamo.utils import counters

from ...core.boundary import inside_subject
from ...core.options import Options
from ...core.verdict import Violation
from ...subject.subject import Subject
from .. import serialized, spy
from ..capture_cache import settle, with_own_code
from ..cudagraphs.graph_wrapper import FIRST, Graphs, graphs, kept, or_refused, same
from ..drive import Driven, options_for, other_values
from ..graph_capture import mark_dynamic
from ..models.weights import EXCHANGES
from ..together import together
from .modes import Cross

SIZES = (6, 4)


class _Crossed(nn.Module):
    """Weights, a buffer, an input that two pieces write, and outputs that are views and inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 8)
        self.register_buffer("shift", torch.arange(8.0))

    def forward(self, x: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, ...]:
        h = self.linear(x)
        state.add_(h.sum(0))
        h = torch.ops.piecewise.scaled(h)
        state.mul_(0.5)
        h = self.linear(h) + self.shift + state
        return h, h.t(), state, x


def crossed() -> Program:
    """The model that is crossed; each time as code that is new to Dynamo."""
    base = program("linear-chain")

    def inputs(size: int) -> tuple[torch.Tensor, ...]:
        (x, *_) = base.inputs(size)
        return x, torch.arange(8.0)

    return with_own_code(
        Program("crossed", "", _Crossed, inputs, base.splitting_ops, SIZES, ((0, 0),), frozenset())
    )


class _Model:
    """The model in one combination: how it is called, and what its batches must give.

    Where CUDA graphs read their inputs in place, a batch lies in the buffer that the engine keeps
    for its size, as is usual; else its inputs lie elsewhere each time.
    """

    def __init__(self, cross: Cross, driven: Driven, here: Graphs | None, log: spy.Log) -> None:
        self.cross, self.driven, self.here, self.log = cross, driven, here, log
        self.factor = 1.0
        self.program = driven.program
        self.buffers: dict[int, Any] = {}
        self.call_static: Callable[..., Any] | None = None
        if here is not None and cross.graphs == "full":
            self.call_static = here.wrap(driven.compiled, "FULL", FIRST)
        elif cross.graphs == "piecewise" and cross.inputs == "in-place":
            self.call_static = driven.compiled
        if self.call_static is not None:
            self.buffers = {size: self.program.inputs(size) for size in SIZES}

    @contextmanager
    def _batch(self, size: int, mode: str) -> Iterator[None]:
        if self.here is None:
            yield
        else:
            with self.here.batch(mode, self.here.descriptor(size)):
                yield

    def call(self, size: int, mode: str) -> None:
        """One batch that is not judged, a capture or a dummy batch of a warm-up."""
        with self._batch(size, mode):
            if self.call_static is None:
                self.driven.got(self.program.inputs(size))
            else:
                self._static_call(self.buffers[size])

    def _static_call(self, args: Sequence[Any]) -> Any:
        assert self.call_static is not None
        mark_dynamic(self.program, tuple(args), self.cross.shapes)
        with torch.no_grad(), inside_subject("the compiled model"):
            return kept(self.call_static(*args))

    def judge(self, size: int, mode: str, values: Sequence[Any], where: str) -> None:
        """One batch with ``values``: outputs, and what is written to the inputs."""
        # graphs may refuse to run with weights that they were not captured with
        refusable = self.factor > 1 and mode != "NONE"
        if self.call_static is None:
            with self._batch(size, mode), or_refused(refusable):
                self.driven.check_with(values, where, aliasing=self.here is None)
            return
        args = self.buffers[size]
        for own, value in zip(args, values, strict=True):
            own.copy_(value)
        expected = self.driven.expected(args)
        with self._batch(size, mode), or_refused(refusable):
            got = self._static_call(args)
            same(where, expected.outputs, got, list(zip(expected.inputs, args, strict=False)))

    def exchange(self) -> None:
        """Give the model, and the one that it is compared with, other weights."""
        self.factor *= 2
        for module in (self.driven.plain, self.driven.module):
            EXCHANGES["load_state_dict"](module, 2.0)

    def batches(self) -> Iterator[Callable[[], None]]:
        """What a server does, a batch each: capture or warm up, serve every size, and again."""
        mode = self.cross.graphs.upper()
        if self.cross.first == "in-capture":
            for size in SIZES:
                yield partial(self._begin_in_capture, size, mode)
        if self.cross.first == "warm" or self.here is not None:
            for size in SIZES:
                yield partial(self.call, size, "NONE")
        if self.here is not None:
            for size in SIZES:
                yield partial(self.call, size, mode)
        yield from self._serve(mode, "first")
        if self.cross.weights == "exchanged":
            self.exchange()
            yield from self._serve(mode, "with other weights")
        before = self._work()
        yield from self._serve(mode, "again")
        # what another thread compiles meanwhile is its own
        if (after := self._work()) != before and self.cross.threads == "one":
            raise Violation(
                "what is compiled or loaded in batches of sizes that were served before",
                expected="nothing",
                got=f"{before} grew to {after}",
            )

    def _begin_in_capture(self, size: int, mode: str) -> None:
        with or_refused(True):
            self.call(size, mode)

    def _work(self) -> dict[str, int]:
        """How often Dynamo, the spy and Inductor have been at work so far."""
        asked = [count for name, count in counters["inductor"].items() if "fxgraph_cache" in name]
        return {
            "graphs captured": self.driven.graphs,
            "pieces compiled": len(self.log.compiles),
            "pieces loaded": len(self.log.loads),
            "graphs given to Inductor": sum(asked),
        }

    def _serve(self, mode: str, turn: str) -> Iterator[Callable[[], None]]:
        for size in (*SIZES, *SIZES[::-1]):
            for values in (self.program.inputs(size), other_values(self.program.inputs(size))):
                yield partial(self.judge, size, mode, values, f"{turn}, for {size} tokens")


def judge(subject: Subject, device: str, cross: Cross, folder: Path) -> None:
    """Violation for anything in which the model, compiled so, differs from the model."""
    settle()
    around: Any = nullcontext() if cross.graphs == "none" else graphs(subject, device)
    count = 2 if cross.threads == "two" else 1
    with around as here:
        with spy.spying() as log:
            made = _of_origin(subject, cross, here, folder, count, log)
        with spy.spying() as log:
            models = [_Model(cross, driven, here, log) for driven in made]
            for batches in zip(*(model.batches() for model in models), strict=True):
                if len(batches) > 1:
                    together(batches, "models called by two threads")
                else:  # in this thread, where CUDA graphs are emulated
                    batches[0]()
    if cross.origin == "loaded" and log.compiles:
        raise Violation(
            "a second start on the cache of the first",
            expected="every piece loaded",
            got=f"{len(log.compiles)} compiled, {len(log.loads)} loaded",
        )


def _options(subject: Subject, chosen: Program, cross: Cross, folder: Path) -> Options:
    changes: dict[str, Any] = {
        "compiler": {"spy": spy.NAME, "compile-fx": "inductor"}.get(cross.compiler, cross.compiler),
        "standalone": cross.compiler != "compile-fx",
        "partition_in_inductor": cross.partition == "in-inductor",
        "cudagraph_mode": cross.graphs.upper(),
        "copy_inputs": cross.inputs == "copied",
        "dynamic_shapes": cross.shapes,
        "compile_ranges_endpoints": (5,),
        "collect_artifacts": cross.origin == "deserialized" and cross.compiler == "inductor",
    }
    if cross.origin == "loaded":
        changes["cache_root"] = str(folder)
    asked = options_for(subject, chosen, **changes)
    subject.check_offers(asked)
    return asked


def _of_origin(
    subject: Subject,
    cross: Cross,
    here: Graphs | None,
    folder: Path,
    count: int,
    log: spy.Log,
) -> list[Driven]:
    """``count`` compiled models of the origin that ``cross`` names."""
    chosen = [here.placed(crossed()) if here is not None else crossed() for _ in range(count)]
    asked = _options(subject, chosen[0], cross, folder)
    if cross.origin == "fresh":
        return [Driven(subject, each, asked, live=True) for each in chosen]
    first = here.placed(crossed()) if here is not None else crossed()
    keeping = serialized.Keeping(subject.backend(asked))
    driven = Driven(subject, first, asked, keeping, live=True)
    earlier = _Model(replace(cross, graphs="none"), driven, here, log)
    for size in SIZES:
        earlier.judge(size, "NONE", first.inputs(size), f"in the first start, for {size} tokens")
    if cross.origin == "deserialized":
        data = serialized.to_bytes(subject, keeping.function, asked)
        made = [serialized.from_bytes(subject, data, asked) for _ in chosen]
        return [
            Driven(subject, each, asked, partial(_instead, function), live=True)
            for each, function in zip(chosen, made, strict=True)
        ]
    if cross.origin == "loaded":
        subject.restart()
    return [Driven(subject, each, asked, live=True) for each in chosen]


def _instead(function: Any, graph: Any, example_inputs: Any) -> Any:
    """A backend that has ``function`` already."""
    return function
