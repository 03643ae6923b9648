"""Run one program with layers of the compile replaced: ``python -m ...releases.ladder``.

Each rung adds a layer to the one before, or takes another way to the same result:

    no capture              the program as it is, twice
    Dynamo                  captured by Dynamo, the graph runs as it is
    FX                      captured, split by split_module, the pieces run as they are
    AOTAutograd             through AOTAutograd, the graph runs as it is
    Inductor                the captured graph through standalone_compile
    reference, eager pieces the reference, which splits without split_module
    reference               the reference with Inductor
    subject                 the subject

The lowest rung that fails on one torch and holds on the other names the layer that moved.
"""

from __future__ import annotations

import importlib
import json
import re
import runpy
import sys
from collections.abc import Callable
from typing import Any

from . import layers

NO_CAPTURE = "no capture"
EAGER_PIECES = "reference, eager pieces"
RUNGS = {
    NO_CAPTURE: layers.UNKNOWN,
    layers.DYNAMO: layers.DYNAMO,
    layers.FX: layers.FX,
    layers.AOTAUTOGRAD: layers.AOTAUTOGRAD,
    layers.INDUCTOR: layers.INDUCTOR,
    EAGER_PIECES: layers.REFERENCE,
    layers.REFERENCE: layers.REFERENCE,
    layers.SUBJECT: layers.SUBJECT,
}
HOLDS = "holds"
NO_PROGRAM = "no program"
_FAILS = "fails: "


def fails(answer: str | None) -> bool:
    """Whether a rung failed, or ended its process."""
    return answer is not None and answer.startswith((_FAILS, "no answer"))


def program_of(case: str) -> str:
    """The name of the program that ``case`` runs; empty if it runs none by name."""
    from piecewise_fixtures.programs import PROGRAMS

    inside = re.search(r"\[(.*)\]$", case)
    text = inside[1] if inside else case
    found = [each for each in PROGRAMS if re.search(rf"(?<![\w-]){re.escape(each)}(?!\w)", text)]
    return max(found, key=len, default="")


def main(patch: str, subject: str, case: str, *rungs: str) -> None:
    """Print a line for each rung; ``patch`` is a Python file that is executed first, or empty."""
    if patch:
        runpy.run_path(patch)
    name = program_of(case)
    for rung in rungs:
        _tell({"begin": rung})
        _tell({"name": rung, "answer": _climb(rung, name, subject) if name else NO_PROGRAM})


def _climb(rung: str, name: str, subject: str) -> str:
    """How the program went at ``rung``."""
    import torch._dynamo
    from piecewise_fixtures.programs import PROGRAMS

    from ..core.outcome import outcome_of
    from ..core.verdict import Status

    torch._dynamo.reset()
    try:
        _run(PROGRAMS[name], rung, subject)
    except BaseException as error:
        outcome = outcome_of(error)
        if outcome.status in (Status.UNSUPPORTED, Status.NOT_RUN):
            return f"{outcome.status.value}: {outcome.message}"
        # outside of a subject an exception is the layer's own, not an error of the harness
        lines = (outcome.message or repr(error)).strip().splitlines()
        return f"{_FAILS}{lines[0][:160]}"
    return HOLDS


def _run(program: Any, rung: str, spec: str) -> None:
    """Run at all sizes of the program; Violation if a result is wrong."""
    from ..core.options import Options
    from ..subject.loading import load_subject
    from ..subject.subject import Subject
    from ..testkit.drive import Driven

    ops = tuple(program.splitting_ops)
    if rung in (EAGER_PIECES, layers.REFERENCE, layers.SUBJECT):
        subject = load_subject(spec if rung == layers.SUBJECT else "reference")
        eager = rung == EAGER_PIECES
        compiler = "eager" if eager else "inductor" if subject.can("inductor") else "own"
        options = Options(compiler=compiler, splitting_ops=ops if subject.can("splitting") else ())
    else:
        facets = {"make_backend": lambda options: _BACKENDS[rung](program)}
        subject = Subject(rung, rung, facets, frozenset({"eager", "inductor", "splitting"}))
        bitwise = rung in (NO_CAPTURE, layers.DYNAMO, layers.FX)
        options = Options(compiler="eager" if bitwise else "inductor", splitting_ops=ops)
    driven = Driven(subject, program, options, live=True)
    if rung == NO_CAPTURE:
        driven.compiled = driven.module
    for size in program.sizes:
        driven.check(size)


def _eager(program: Any) -> Callable[..., Any]:
    return lambda graph, inputs: graph.forward


def _aot_eager(program: Any) -> Callable[..., Any]:
    lookup = importlib.import_module("torch._dynamo.backends.registry").lookup_backend
    backend: Callable[..., Any] = lookup("aot_eager")
    return backend


def _standalone(program: Any) -> Callable[..., Any]:
    def backend(graph: Any, inputs: Any) -> Any:
        import torch._inductor

        return torch._inductor.standalone_compile(
            graph, inputs, dynamic_shapes="from_tracing_context"
        )

    return backend


def _split(program: Any) -> Callable[..., Any]:
    def backend(graph: Any, inputs: Any) -> Any:
        from torch.fx.passes.split_module import split_module

        piece, numbers = 0, {}
        for node in graph.graph.nodes:
            name = str(node.target).replace(".", "::", 1)
            splits = name in ops or name.rpartition(".")[0] in ops
            piece += splits
            numbers[node] = piece
            piece += splits
        return split_module(graph, graph, numbers.__getitem__, keep_original_order=True).forward

    ops = tuple(program.splitting_ops)
    return backend


_BACKENDS: dict[str, Callable[[Any], Callable[..., Any]]] = {
    NO_CAPTURE: _eager,
    layers.DYNAMO: _eager,
    layers.FX: _split,
    layers.AOTAUTOGRAD: _aot_eager,
    layers.INDUCTOR: _standalone,
}


def _tell(line: dict[str, str]) -> None:
    sys.stdout.write(f"{json.dumps(line)}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
