"""What a compiled program must do, whichever program it is: at every size, in any order of calls.

The suite asks it of a few generated programs, and the search of many.
"""

from __future__ import annotations

import itertools
import random
import tempfile
from pathlib import Path
from typing import Any

from piecewise_fixtures.generated import SIZES
from piecewise_fixtures.generated.build import Generated

from ...core.boundary import may_refuse
from ...core.verdict import Violation
from ...subject.subject import Subject
from .. import spy
from ..capture_cache import settle
from ..drive import Driven, options_for
from ..serialized import Keeping, from_bytes, to_bytes

_STATIC = {1, 2, 3, 4, 8}  # sizes that programs have beside those that vary
_SHORT = 20  # lines of a program's module


def order(program: Generated) -> list[int]:
    """Sizes to call ``program`` with: in an order of its own, some of them twice.

    For one token Dynamo makes another graph: short programs are called with one, and every second.
    """
    decide = random.Random(program.name)
    without = decide.randrange(2) and program.text.count("\n") > _SHORT
    some = [size for size in SIZES if size > 1] if without else list(SIZES)
    sizes = [*some, *decide.sample(some, 2)]
    decide.shuffle(sizes)
    return sizes


def _driven(subject: Subject, program: Generated, **changes: Any) -> Driven:
    settle()
    return Driven(subject, program, options_for(subject, program, **changes))


def drawn_calls(subject: Subject, program: Generated) -> None:
    """Every size, in any order, from any first call."""
    driven = _driven(subject, program)
    for size in order(program):
        driven.check(size)


def compiled_by_inductor(subject: Subject, program: Generated) -> None:
    """Compiled by Inductor, for two sizes."""
    subject.need("inductor")
    driven = _driven(subject, program, compiler="inductor")
    for size in order(program)[:2]:
        driven.check(size)


def copied_inputs(subject: Subject, program: Generated) -> None:
    """With copied inputs: the same, or a refusal that says why.

    What lies in an input may then be returned as a copy (COPY-009).
    """
    driven = _driven(subject, program, copy_inputs=True)
    for size in order(program):
        with may_refuse(True):
            driven.check(size, aliasing=False)


def drawn_ranges(subject: Subject, program: Generated) -> None:
    """Both ends of each range and its inside, and single sizes, each by the artifact for it.

    That is seen where a compiler of ours can be named, in programs of whose sizes one varies:
    elsewhere a piece may be called with a number that is as large and not the batch's.
    """
    ends, single, sizes = ranges_of(program)
    changes: dict[str, Any] = {"compile_ranges_endpoints": ends, "compile_sizes": single}
    watched = subject.can("custom-compiler") and len(program.dynamic) == 1
    if watched:
        changes.update(compiler=spy.NAME, max_num_batched_tokens=max(sizes))
    driven = _driven(subject, program, **changes)
    for size in sizes:
        with spy.spying() as log:
            driven.check(size)
        if watched and size not in _STATIC:
            _check_ranges(log, size, (0, *ends, max(sizes)), single)


def _check_ranges(log: spy.Log, size: int, ends: tuple[int, ...], single: tuple[int, ...]) -> None:
    """Pieces that were called with ``size``, and with no other number, ran the artifact for it."""
    right = next((start + 1, end) for start, end in itertools.pairwise(ends) if start < size <= end)
    allowed = {right, (size, size)} if size in single else {right}
    for range, numbers in log.served:
        if set(numbers) == {size} and range not in allowed:
            raise Violation(
                f"the artifact that served {size} tokens, with ranges that end at {ends[1:]}",
                expected=f"an artifact of {right}",
                got=f"an artifact of {range}",
            )


def ranges_of(program: Generated) -> tuple[tuple[int, ...], tuple[int, ...], list[int]]:
    """Ends of ranges, single sizes, and sizes to call with, in an order of its own.

    Two tokens are for every second row to be one, which for Dynamo is no size like others.
    """
    decide = random.Random(program.name)
    ends = tuple(sorted(decide.sample(range(3, 12), 2)))
    single = (decide.choice(SIZES[:3]),)
    sizes = [*ends, *(each + 1 for each in ends), *single, decide.randrange(13, 20)]
    sizes += [1] if 1 in order(program) else []
    decide.shuffle(sizes)
    return ends, single, sizes


def drawn_bytes(subject: Subject, program: Generated) -> None:
    """The function that went through bytes does what the program does."""
    subject.get("serialize")
    asked = options_for(subject, program)
    keeping = Keeping(subject.backend(asked))
    settle()
    sizes = [size for size in order(program) if size > 1]  # one token is a graph of its own
    Driven(subject, program, asked, keeping).check(sizes[0])
    data = None
    with may_refuse(True):  # what cannot be kept is said to be so
        data = to_bytes(subject, keeping.function, asked)
    if data is None:
        return
    loaded = from_bytes(subject, data, asked)
    settle()
    again = Driven(subject, program, asked, lambda graph, example_inputs: loaded)
    for size in sizes:
        again.check(size)


def drawn_steps(subject: Subject, program: Generated) -> None:
    """A history of a cache that the text of the program chooses; the steps are told."""
    number = random.Random(program.name).randrange(2**32)
    from ..caches.histories import (
        check as check_cache,  # needs hypothesis, as nothing else here
    )

    with tempfile.TemporaryDirectory() as folder:
        try:
            check_cache(subject, Path(folder), examples=8, steps=30, numbers=number)
        except Violation as error:
            got = f"{error.got}\n\nafter these steps:\n\n{error.program}"
            raise Violation(error.message, expected=error.expected, got=got) from None
