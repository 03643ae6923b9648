"""Ask a subject's static-graph wrapper: under the emulator on a CPU, on real graphs on a GPU."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import torch
from piecewise_fixtures.programs import Program, program
from torch.utils import _pytree as pytree

from ...core import environment
from ...core.boundary import inside_subject, may_refuse
from ...core.options import Options
from ...core.verdict import Unsupported, Violation
from ...emulation import Emulation, StaticGraphError, emulate
from ...subject.subject import Subject
from ..oracle import Observation, check

FIRST, MIDDLE, LAST = (True, False, False), (False, True, False), (False, True, True)
"""(debug_log_enable, gc_disable, weak_ref_output) of a wrapper, by the place of its piece."""


class Graphs:
    """The device of one test, and what is asked of a wrapper there."""

    def __init__(self, subject: Subject, device: str, emulation: Emulation | None) -> None:
        self.subject, self.device, self.emulation = subject, device, emulation
        self.modes = subject.get("CUDAGraphMode")
        self._begun: set[tuple[str, Any]] = set()

    def descriptor(self, num_tokens: int, **facts: Any) -> Any:
        """A fresh ``BatchDescriptor``; Unsupported if it has no such facts."""
        try:
            return self.subject.get("BatchDescriptor")(num_tokens=num_tokens, **facts)
        except TypeError as error:
            raise Unsupported(f"the subject's BatchDescriptor: {error}") from None

    @contextmanager
    def batch(self, mode: str, descriptor: Any, *, dummy: bool = True) -> Iterator[None]:
        """The forward context of one batch.

        The first of a kind is for captures, and may be a ``dummy``: a subject may capture without
        computing, as vLLM's does. No result of it is judged then.
        """
        first = (mode, descriptor) not in self._begun
        self._begun.add((mode, descriptor))
        around: Any = nullcontext()
        if self.emulation is not None and dummy and first:
            around = self.emulation.dummy_run()
        context = self.subject.context(
            "set_forward_context",
            None,
            batch_descriptor=descriptor,
            cudagraph_runtime_mode=self.modes[mode],
        )
        with around, context:
            yield

    def wrap(
        self,
        function: Callable[..., Any],
        mode: str = "PIECEWISE",
        place: tuple[bool, bool, bool] = MIDDLE,
    ) -> Asked:
        """``function`` in a wrapper for ``mode``."""
        log, keep_garbage, weak = place
        wrapper = self.subject.call(
            "CUDAGraphWrapper",
            function,
            self.subject.config(Options()),
            runtime_mode=self.modes[mode],
            cudagraph_options=SimpleNamespace(
                debug_log_enable=log, gc_disable=keep_garbage, weak_ref_output=weak
            ),
        )

        return Asked(wrapper, self.emulation)

    def tensor(self, *shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Any:
        """Random numbers, the same for the same seed on each device."""
        made = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
        return made.to(dtype=dtype, device=self.device)

    def program(self, name: str) -> Program:
        """The program of that name, with its weights and inputs on the device."""
        return self.placed(program(name))

    def placed(self, chosen: Program) -> Program:
        """``chosen`` with its weights and inputs on the device."""
        if self.device == "cpu":
            return chosen
        module: Any = lambda: chosen.module().to(self.device)  # noqa: E731  (stands for a class)
        return replace(
            chosen,
            module=module,
            inputs=lambda size: pytree.tree_map_only(
                torch.Tensor, lambda each: each.to(self.device), chosen.inputs(size)
            ),
        )

    def reserved(self) -> int:
        """Bytes that the allocator keeps, once what can be collected is."""
        gc.collect()
        torch.cuda.empty_cache()
        return torch.cuda.memory_reserved()


class Asked:
    """A subject's wrapper, called inside the boundary; the emulator is told the inputs."""

    def __init__(self, wrapper: Any, emulation: Emulation | None) -> None:
        self.wrapper, self.emulation = wrapper, emulation

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call it."""
        told = self.emulation.called_with(*args, **kwargs) if self.emulation else nullcontext()
        with told, inside_subject("CUDAGraphWrapper"):
            return self.wrapper(*args, **kwargs)


@contextmanager
def graphs(subject: Subject, device: str) -> Iterator[Graphs]:
    """The device for one test: emulated, or real."""
    if environment.missing("gpu") is None:
        gc.collect()  # graphs of the other kind: a subject may look for one that lives
    if device == "cpu":
        with emulate() as emulation:
            yield Graphs(subject, device, emulation)
    else:
        yield Graphs(subject, device, None)


@contextmanager
def or_refused(allowed: bool = True) -> Iterator[None]:
    """If ``allowed``, the subject may refuse what is done inside with an error that says why.

    An error of the emulator is no refusal: a device would have gone on.
    """
    with may_refuse(allowed):
        try:
            yield
        except StaticGraphError as error:
            raise Violation(str(error)) from error


class Counted:
    """A function that counts its calls."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function, self.calls = function, 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call it."""
        self.calls += 1
        return self.function(*args, **kwargs)


def same(what: str, expected: Any, got: Any, inputs: Sequence[Any] = ()) -> None:
    """Outputs, of the structure expected, are equal to the bit; ``inputs`` are pairs to compare.

    Strides are compared, memory that outputs and inputs share is not.
    """
    pairs = list(inputs)
    check(
        Observation(expected, [want for want, _ in pairs], []),
        Observation(got, [have for _, have in pairs], []),
        where=what,
    )


def kept(values: Any) -> Any:
    """A copy of what a graph may overwrite."""
    return pytree.tree_map_only(torch.Tensor, lambda each: each.clone(), values)
