"""Dynamo's part of a compile, done once per process and replayed for many subjects.

The kill matrix compiles the same programs thousands of times, and most of that time is Dynamo's,
which no mutant changes. Here a program is compiled once, with a backend that hands each call on to
the subject at hand. A subject is called with what Dynamo calls a backend with: a copy of the
graph, the example inputs, and a tracing context with a fake mode that is not that of the values in
the graph, over the same symbols, under Dynamo's lock. A conformance run never uses this.
"""

from __future__ import annotations

import copy
import dataclasses
import random
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from piecewise_fixtures.programs import Program
from torch import fx
from torch._dynamo.convert_frame import compile_lock, preserve_global_state
from torch._guards import TracingContext, detect_fake_mode, tracing
from torch._subclasses.fake_tensor import FakeTensorMode

Compile = Callable[[Any, Any], Callable[..., Any]]

_enabled = False
_by_program: dict[tuple[Any, ...], Recorded] = {}


def reuse(enabled: bool) -> None:
    """Switch replaying on or off for this process."""
    global _enabled
    _enabled = enabled


def reusing() -> bool:
    """Whether it is on."""
    return _enabled


def forget(program: Program) -> None:
    """Let go of what was captured of ``program``."""
    for key in [each for each in _by_program if each[:2] == (program.name, program.module)]:
        del _by_program[key]


def settle() -> None:
    """Forget what Dynamo compiled, so that tests start alike; unless it is replayed."""
    if not _enabled:
        torch._dynamo.reset()


def _own_code(forward: Any) -> types.FunctionType:
    return types.FunctionType(
        forward.__code__.replace(),
        forward.__globals__,
        "forward",
        forward.__defaults__,
        forward.__closure__,
    )


def with_own_code(program: Program) -> Program:
    """``program`` as code that Dynamo has not seen, for tests of what it does with guards.

    Those cannot be replayed, and what was compiled of the same code before would be in their way.
    """
    original = program.module
    own = _own_code(original.forward)
    members = {"forward": own, "__module__": original.__module__}  # where its text is found
    module = type(original.__name__, (original,), members)
    return dataclasses.replace(program, module=module)


@dataclass
class _Graph:
    gm: fx.GraphModule
    example_inputs: list[Any]

    def __post_init__(self) -> None:
        self.known = self._assumed()

    def is_spoiled(self) -> bool:
        """Whether a subject made torch assume more about sizes than Dynamo did."""
        return self._assumed() != self.known

    def _assumed(self) -> Any:
        mode = detect_fake_mode(self._traced())
        if (env := mode.shape_env if mode is not None else None) is None:
            return None
        return [str(guard.expr) for guard in env.guards], dict(env.replacements)

    def compile_with(self, compile: Compile) -> Callable[..., Any]:
        gm = fx.GraphModule(self.gm, copy.deepcopy(self.gm.graph))
        gm.meta.update(self.gm.meta)
        traced = detect_fake_mode(self._traced())
        mode = traced and FakeTensorMode(shape_env=traced.shape_env)
        # Dynamo puts back much of what is global behind a backend, and so it is no fault of one
        pythons_random = random.getstate()
        try:
            with compile_lock, tracing(TracingContext(mode)):
                return preserve_global_state(compile)(gm, list(self.example_inputs))
        finally:
            random.setstate(pythons_random)

    def _traced(self) -> list[Any]:
        placeholders = self.gm.graph.find_nodes(op="placeholder")
        return [node.meta.get("example_value") for node in placeholders]


class Recorded:
    """A program that Dynamo has compiled, for whichever subject is used next."""

    def __init__(self, program: Program, *, anew: bool = False) -> None:
        self.module = program.build().eval()
        if anew:  # code that Dynamo has not seen: what it made of the same code before would serve
            own = _own_code(type(self.module).forward)
            self.module.forward = types.MethodType(own, self.module)
        # not its state_dict, which leaves out buffers that are not persistent
        self._tensors = [*self.module.parameters(), *self.module.buffers()]
        self._state = [each.clone() for each in self._tensors]
        self._compile: Compile | None = None
        self._compiled: dict[int, Callable[..., Any]] = {}
        self._graphs: list[_Graph] = []
        self._run = torch.compile(self.module, backend=self._backend, fullgraph=True)

    def is_spoiled(self) -> bool:
        """Whether what a subject did to it would show in the next one."""
        return any(graph.is_spoiled() for graph in self._graphs)

    def use(self, compile: Compile) -> tuple[torch.nn.Module, Callable[..., Any]]:
        """The module in its first state, and the callable that runs it through ``compile``."""
        with torch.no_grad():
            for tensor, value in zip(self._tensors, self._state, strict=True):
                tensor.copy_(value)
        compiled: dict[int, Callable[..., Any]] = {}

        def call(*args: Any) -> Any:
            self._compile, self._compiled = compile, compiled
            return self._run(*args)

        return self.module, call

    def _backend(self, gm: fx.GraphModule, example_inputs: list[Any]) -> Callable[..., Any]:
        graph = _Graph(gm, list(example_inputs))
        self._graphs.append(graph)

        def run(*args: Any) -> Any:
            if id(graph) not in self._compiled:
                assert self._compile is not None
                self._compiled[id(graph)] = graph.compile_with(self._compile)
            return self._compiled[id(graph)](*args)

        return run


def recorded(program: Program, traced: str = "BACKED") -> Recorded:
    """``program`` as Dynamo compiled it where sizes are ``traced`` so (a value of
    :attr:`.Options.dynamic_shapes`); captured at first use, and anew when it is spoiled.
    """
    key = (program.name, program.module, traced)
    found = _by_program.get(key)
    if found is None:
        found = _by_program[key] = Recorded(program, anew=traced != "BACKED")
    elif found.is_spoiled():
        found = _by_program[key] = Recorded(program, anew=True)
    return found
