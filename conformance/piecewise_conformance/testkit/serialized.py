"""Functions that go through bytes: made by a backend, kept, made again, and run as a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from piecewise_fixtures.programs import Program, program

from ..core.options import Options
from ..core.verdict import Violation
from ..subject.subject import Subject
from .capture_cache import settle
from .compiling import counting_generated_code
from .drive import Driven, options_for


class Keeping:
    """A backend that keeps what the subject's backend returned, and hands it on."""

    def __init__(self, backend: Callable[[Any, Any], Any]) -> None:
        self.backend = backend
        self.function: Any = None

    def __call__(self, graph: Any, example_inputs: Any) -> Any:
        """What the subject makes of ``graph``."""
        self.function = self.backend(graph, example_inputs)
        return self.function


def _program(name: str | Program) -> Program:
    return program(name) if isinstance(name, str) else name


def options(subject: Subject, name: str | Program, **changes: Any) -> Options:
    """Options for the program ``name``; also for the process that reads."""
    return options_for(subject, _program(name), **changes)


def compiled(
    subject: Subject, name: str | Program, sizes: Sequence[int] = (), **changes: Any
) -> tuple[Driven, Any]:
    """The program ``name`` compiled and checked at every size, or at ``sizes``, and the function
    in it.
    """
    return compiled_with(subject, name, options(subject, name, **changes), sizes)


def compiled_with(
    subject: Subject, name: str | Program, asked: Options, sizes: Sequence[int] = ()
) -> tuple[Driven, Any]:
    """As :func:`compiled`, with the options that are asked."""
    settle()
    keeping = Keeping(subject.backend(asked))
    driven = Driven(subject, _program(name), asked, keeping)
    for size in sizes or _program(name).sizes:
        driven.check(size)
    return driven, keeping.function


def to_bytes(subject: Subject, function: Any, asked: Options) -> bytes:
    """``serialize``, with the form of its answer checked."""
    data = subject.call("serialize", function, asked)
    if not isinstance(data, bytes):
        raise Violation("serialize did not return bytes", got=repr(data)[:200])
    return data


def from_bytes(subject: Subject, data: bytes, asked: Options) -> Any:
    """``deserialize``, for bytes that are good: a callable."""
    function = subject.call("deserialize", data, asked)
    if not callable(function):
        raise Violation("deserialize did not return a callable", got=repr(function)[:200])
    return function


def in_place_of(subject: Subject, function: Any, name: str | Program, asked: Options) -> Driven:
    """The program ``name`` with ``function`` in the place of what a compile would give."""
    settle()
    return Driven(subject, _program(name), asked, lambda graph, example_inputs: function)


def check_function(subject: Subject, function: Any, name: str | Program, asked: Options) -> None:
    """``function`` in the place of a compile: it must do what the program does, at every size."""
    driven = in_place_of(subject, function, name, asked)
    for size in _program(name).sizes[::-1]:
        driven.check(size)


def is_missed(subject: Subject, data: bytes, asked: Options) -> bool:
    """Whether ``deserialize`` refuses ``data`` with an exception, or gives None."""
    try:
        return subject.call("deserialize", data, asked) is None
    except Exception:
        # whatever the kind of error: its text is not the contract, that nothing is made of it is
        return True


def run_in_child(subject: Subject, path: str, name: str, changes: dict[str, Any]) -> int:
    """For a fresh process: make the function in the file ``path`` again, and check it.

    Returns for how many graphs Inductor generated code.
    """
    asked = options(subject, name, **changes)
    data = Path(path).read_bytes()
    with counting_generated_code() as generated:
        check_function(subject, from_bytes(subject, data, asked), name, asked)
        return len(generated)
