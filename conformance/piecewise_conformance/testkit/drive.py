"""Run a program through a subject's whole backend, beside the program itself."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.fx.experimental._config as tracing_config
from piecewise_fixtures.programs import Program
from torch.utils import _pytree as pytree

from ..core.boundary import crossing, inside_subject
from ..core.options import Options
from ..core.verdict import NotRun, Violation
from ..subject.subject import Subject
from .capture_cache import recorded, reusing, settle
from .generated.layout import with_layout
from .graph_capture import Captured, mark_dynamic
from .oracle import EXACT, Near, Observation, Rule, check, copy_values, observe


class Driven:
    """A program compiled by a subject, and the same program as it is.

    Each graph that Dynamo makes gets a backend of its own, since a backend serves one graph,
    unless it is given ``backend`` for all of them; ``graphs`` counts them. A ``live`` one is never
    replayed.
    """

    def __init__(
        self,
        subject: Subject,
        program: Program,
        options: Options,
        backend: Any = None,
        live: bool = False,
    ) -> None:
        self.subject = subject
        self.backend = backend
        self.program = program
        self.options = options
        self.graphs = 0
        self.plain = program.build().eval()
        if reusing() and not live:
            found = recorded(program, options.dynamic_shapes)
            self.module, self.compiled = found.use(self._compile)
        else:
            self.module = program.build().eval()
            self.compiled = torch.compile(self.module, backend=self._compile, fullgraph=True)

    def _compile(self, graph: Any, example_inputs: Any) -> Any:
        self.graphs += 1
        backend = self.backend or self.subject.backend(self.options)
        return crossing("the compiled model", backend(graph, example_inputs))

    def _watched(self, module: torch.nn.Module) -> list[torch.Tensor]:
        return [*module.parameters(), *module.buffers()]

    def expected(self, args: Sequence[Any]) -> Observation:
        """What the program itself does."""
        with torch.no_grad():
            return observe(self.plain, args, watched=self._watched(self.plain))

    def got(self, args: Sequence[Any]) -> Observation:
        """What the subject makes of it."""

        def call(*fresh: Any) -> Any:
            kind = self.options.dynamic_shapes
            mark_dynamic(self.program, fresh, kind)
            tracing: Any = tracing_config  # has its methods from where mypy cannot see
            oblivious = tracing.patch(backed_size_oblivious=kind == "BACKED_SIZE_OBLIVIOUS")
            with oblivious, inside_subject("the compiled model"):
                return self.compiled(*fresh)

        with torch.no_grad():
            return observe(call, args, watched=self._watched(self.module))

    def rule(self, args: Sequence[Any]) -> Rule:
        """Equal to the bit if pieces run as they are, else near a float64 run."""
        if self.options.compiler == "eager" or "." in self.options.compiler:
            return EXACT
        return self.near(args)

    def near(self, args: Sequence[Any]) -> Near:
        """Near a run in float64; NotRun for a program that has none, since it names types."""
        doubled = self.program.build().eval().double()
        with torch.no_grad():
            wide = [_double(arg) for arg in args]
            try:
                truth = observe(doubled, wide, watched=self._watched(doubled))
            except RuntimeError as error:
                raise NotRun(f"the program does not run in float64: {error}") from error
        return Near(truth)

    def check(self, size: int, *, aliasing: bool = True) -> None:
        """Run both for ``size`` tokens and compare all that can be seen.

        Without ``aliasing`` results may lie elsewhere than the program's.
        """
        self.check_with(self.program.inputs(size), f"for {size} tokens", aliasing=aliasing)

    def check_with(self, args: Sequence[Any], where: str, *, aliasing: bool = True) -> None:
        """Run both with ``args`` and compare all that can be seen."""
        rule = self.rule(args)
        expected = self.expected(args)
        got = self.got(args)
        if not aliasing:
            got = dataclasses.replace(got, aliases=expected.aliases)
        try:
            check(
                expected,
                got,
                rule,
                program=lambda: with_layout(self.program.source(), args, where),
                where=where,
                may_drop=self.program.may_be_dropped,
            )
        except Violation as violation:
            if self.options.compiler == "inductor" and self._is_torchs_own(args, expected, rule):
                violation.message += (
                    f" (also in torch's own Inductor {torch.__version__}: plain torch.compile of "
                    "the whole model is wrong for these inputs, too)"
                )
            raise

    def _is_torchs_own(self, args: Sequence[Any], expected: Observation, rule: Rule) -> bool:
        """Whether plain ``torch.compile``, with Inductor and no subject, is wrong as well."""
        module = self.program.build().eval()
        compiled = torch.compile(module, backend="inductor", fullgraph=True)

        def call(*fresh: Any) -> Any:
            mark_dynamic(self.program, fresh, self.options.dynamic_shapes)
            return compiled(*fresh)

        try:
            with torch.no_grad():
                got = observe(call, args, watched=self._watched(module))
            check(expected, got, rule, may_drop=self.program.may_be_dropped)
        except Exception:
            return True
        return False


def other_values(args: Sequence[Any]) -> list[Any]:
    """``args`` with floating-point numbers of the other sign, laid out and shared alike."""
    own: list[Any] = copy_values(list(args))
    seen: set[int] = set()
    for each in pytree.tree_leaves(own):
        if isinstance(each, torch.Tensor) and each.is_floating_point():
            storage = each.untyped_storage()
            if storage.data_ptr() not in seen:
                seen.add(storage.data_ptr())
                torch.empty(0, dtype=each.dtype, device=each.device).set_(storage).neg_()
    return own


def _double(value: Any) -> Any:
    if isinstance(value, torch.Tensor) and value.is_floating_point():
        return value.double()
    return value


def options_for(subject: Subject, program: Program, **changes: Any) -> Options:
    """Options for ``program`` with the compiler that the subject runs cheapest."""
    compiler = "eager" if subject.can("eager") else "own"
    options = Options(compiler=compiler, splitting_ops=tuple(program.splitting_ops))
    return options.but(**changes)


def drive(subject: Subject, program: Program, **changes: Any) -> Driven:
    """``program`` through the whole backend of ``subject``; ``changes`` are to Options."""
    options = options_for(subject, program, **changes)
    subject.check_offers(options)  # before Dynamo, which would wrap the exception
    settle()
    return Driven(subject, program, options)


def expected(graph: Captured, size: int) -> Observation:
    """What ``graph`` itself does, run once for all who ask."""
    if size not in graph.observed:
        graph.observed[size] = run_graph(graph.gm, graph, size)
    found: Observation = graph.observed[size]
    return found


def run_graph(gm: Callable[..., Any], graph: Captured, size: int) -> Observation:
    """Call ``gm``, which stands for ``graph``, with the arguments of ``graph`` for ``size``.

    What it writes into parameters and buffers of ``graph`` is part of the observation, and is
    undone: the next call starts from the same state.
    """
    args, kwargs = graph.args[size], graph.kwargs.get(size, {})
    state = [*graph.gm.parameters(), *graph.gm.buffers()]
    before = [each.clone() for each in state]
    with torch.no_grad():
        try:
            seen = observe(lambda *own: gm(*own, **kwargs), args, watched=state)
            return dataclasses.replace(seen, inputs=copy_values(seen.inputs))
        finally:
            for each, value in zip(state, before, strict=True):
                each.copy_(value)
