"""RANGE: which sizes a range holds, and which artifact serves a batch."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import pytest
from piecewise_conformance.core.boundary import (
    expect_refusal,
    inside_subject,
    is_named,
    may_refuse,
    whose,
    words_of,
)
from piecewise_conformance.core.marks import requirement
from piecewise_conformance.core.options import Options
from piecewise_conformance.core.verdict import Violation
from piecewise_conformance.subject.subject import Subject
from piecewise_conformance.testkit import spy
from piecewise_conformance.testkit.drive import Driven, drive
from piecewise_conformance.testkit.pieces import times
from piecewise_fixtures.programs import program


@requirement("RANGE-001")
@pytest.mark.parametrize(("start", "end"), [(1, 1), (1, 4), (5, 8), (7, 7), (1, 100_000)])
def test_holds_its_sizes(subject: Subject, start: int, end: int) -> None:
    """``n in range`` is start <= n <= end."""
    made = subject.range(start, end)
    for size in {0, 1, start - 1, start, start + 1, (start + end) // 2, end - 1, end, end + 1}:
        with inside_subject("size in Range"):
            held = size in made
        if held != (start <= size <= end):
            raise Violation(
                f"{size} in Range({start}, {end})", expected=str(not held), got=str(held)
            )


@requirement("RANGE-001")
def test_tells_its_ends(subject: Subject) -> None:
    """``start`` and ``end`` are what was given."""
    made = subject.range(3, 9)
    if (made.start, made.end) != (3, 9):
        raise Violation("ends of Range(3, 9)", expected="(3, 9)", got=f"{made.start, made.end}")


@requirement("RANGE-002")
def test_is_a_key(subject: Subject) -> None:
    """Equal ranges are one key of a dict; ranges that differ in one end are two."""
    keys = {subject.range(*ends): ends for ends in [(1, 4), (1, 4), (1, 5), (2, 4), (4, 4)]}
    if len(keys) != 4 or keys.get(subject.range(1, 5)) != (1, 5):
        raise Violation("ranges as keys of a dict", expected="4 different ones", got=str(keys))


@requirement("RANGE-009")
@pytest.mark.parametrize("name", ["start", "end"])
def test_is_frozen(subject: Subject, name: str) -> None:
    """Setting an end raises, and changes nothing."""
    made = subject.range(2, 5)
    with expect_refusal(f"setting {name} of a Range"):
        setattr(made, name, 3)
    if (made.start, made.end) != (2, 5):
        raise Violation("a Range after an attempt to change it", expected="(2, 5)")


@requirement("RANGE-003")
@pytest.mark.parametrize(("start", "end"), [(1, 1), (64, 64), (1, 2), (1, 64), (63, 64)])
def test_single_size(subject: Subject, start: int, end: int) -> None:
    """``is_single_size()`` is start == end."""
    with inside_subject("is_single_size"):
        single = subject.range(start, end).is_single_size()
    if single != (start == end):
        raise Violation(
            f"is_single_size of ({start}, {end})", expected=str(not single), got=str(single)
        )


EMPTY = [(0, 4), (-3, 4), (5, 4), (2, 1), (0, 0)]


@requirement("RANGE-004")
@pytest.mark.parametrize(("start", "end"), EMPTY)
def test_empty_range_is_refused(subject: Subject, start: int, end: int) -> None:
    """A range without a legal size is an error: where it is made, or at the latest where a manager
    is to compile for it. A backend that makes its own ranges is judged by those.
    """
    with may_refuse(True):
        subject.range(start, end)
        if subject.can("compile-ranges") and subject.can("custom-compiler"):
            return  # see the next test
        with expect_refusal(f"Range({start}, {end}), made and used,"), spy.spying():
            case = times(2)
            made = subject.manager(Options(compiler=spy.NAME))
            made.compile(case.gm, case.traced, (start, end))


@requirement("RANGE-004")
@pytest.mark.parametrize("kind", ["BACKED", "UNBACKED"])
@pytest.mark.parametrize(
    ("sizes", "endpoints"), [((0, 4), ()), ((-3, 4), ()), ((), (0, 4)), ((), (8, 4)), ((0,), (0,))]
)
def test_nothing_is_compiled_for_an_empty_range(
    subject: Subject, kind: str, sizes: tuple[int, ...], endpoints: tuple[int, ...]
) -> None:
    """Sizes and endpoints that would make such a range are refused, or no artifact is for it; also
    where a batch of no tokens comes.
    """
    with spy.spying() as log, may_refuse(True):
        driven = spied(
            subject,
            dynamic_shapes=kind,
            compile_sizes=sizes,
            compile_ranges_endpoints=endpoints,
        )
        for size in (6, 4, 9) if kind == "BACKED" else (6, 4, 9, 0):
            driven.check(size)
    if wrong := [call.range for call in log.compiles if not 1 <= call.range[0] <= call.range[1]]:
        raise Violation(
            f"ranges that were compiled with compile_sizes={sizes} and "
            f"compile_ranges_endpoints={endpoints}",
            expected="1 <= start <= end",
            got=str(wrong),
        )


CHAIN = "linear-chain"


def run(driven: Driven, size: int) -> list[tuple[int, int]]:
    """The ranges of the artifacts that serve a batch of ``size``, after checking the result."""
    with spy.spying() as log:
        driven.check(size)
    if not log.runs:
        raise Violation(f"artifacts that ran for {size} tokens", expected="some", got="none")
    return log.runs


def spied(subject: Subject, name: str = CHAIN, **changes: Any) -> Driven:
    """A program whose pieces the spy compiles, captured for a size of several tokens."""
    return drive(subject, program(name), compiler=spy.NAME, **changes)


@requirement("RANGE-005")
@pytest.mark.parametrize(
    ("top", "endpoints", "expected"),
    [
        (10, (), [(1, 10)]),
        (10, (4,), [(1, 4), (5, 10)]),
        (12, (4, 8), [(1, 4), (5, 8), (9, 12)]),
        (9, (2, 3, 8), [(1, 2), (3, 3), (4, 8), (9, 9)]),
        (8, (4, 8), [(1, 4), (5, 8)]),
        (100, (50,), [(1, 50), (51, 100)]),
        (10_000, (8192,), [(1, 8192), (8193, 10_000)]),
    ],
)
def test_ranges_partition(
    subject: Subject, top: int, endpoints: tuple[int, ...], expected: list[tuple[int, int]]
) -> None:
    """Each size is served by the range that the endpoints give it, up to the maximum."""
    driven = spied(subject, max_num_batched_tokens=top, compile_ranges_endpoints=endpoints)
    edges = {edge + step for ends in expected for edge in ends for step in (-1, 0, 1)}
    for size in sorted(size for size in edges if 2 <= size <= top):
        right = next(ends for ends in expected if ends[0] <= size <= ends[1])
        wrong = [ends for ends in run(driven, size) if ends != right]
        if wrong:
            raise Violation(
                f"a batch of {size} tokens, maximum {top}, endpoints {endpoints}",
                expected=f"artifacts of {right}",
                got=f"an artifact of {wrong[0]}",
            )


@requirement("RANGE-005")
def test_every_size_is_served(subject: Subject) -> None:
    """From one token to the maximum, every size runs and is right, in falling order too."""
    driven = spied(subject, max_num_batched_tokens=12, compile_ranges_endpoints=(3, 7))
    for size in [*range(12, 0, -1), *range(1, 13)]:
        for start, end in run(driven, size):
            # one token is a graph of its own, which has no symbol and so no batch size
            if size > 1 and not start <= size <= end:
                raise Violation(f"{size} tokens were served by the artifact of ({start}, {end})")


@requirement("RANGE-006")
@pytest.mark.parametrize("size", [2, 4, 5, 12])
def test_single_size_wins(subject: Subject, size: int) -> None:
    """A named size is served by its own artifact; its neighbours by the range."""
    driven = spied(
        subject,
        max_num_batched_tokens=12,
        compile_ranges_endpoints=(4,),
        compile_sizes=(2, 4, 5, 12),
    )
    if any(ends != (size, size) for ends in run(driven, size)):
        raise Violation(
            f"compile size {size}", expected=f"({size}, {size})", got=str(run(driven, size))
        )
    for neighbour in {3, 6, 11}:
        if any(start == end for start, end in run(driven, neighbour)):
            raise Violation(f"{neighbour} tokens are served by an artifact of another single size")


@requirement("RANGE-006")
@pytest.mark.parametrize("kind", ["UNBACKED", "BACKED_SIZE_OBLIVIOUS"])
def test_single_size_of_one_token(subject: Subject, tmp_path: Path, kind: str) -> None:
    """Where one token is a batch like others its own artifact serves it, and no other size."""
    driven = spied(
        subject,
        cache_root=str(tmp_path),
        dynamic_shapes=kind,
        compile_ranges_endpoints=(4,),
        compile_sizes=(1, 4),
    )
    for size, expected in ((6, (5, 64)), (1, (1, 1)), (2, (1, 4)), (4, (4, 4)), (1, (1, 1))):
        if (got := set(run(driven, size))) != {expected}:
            raise Violation(
                f"artifacts that ran for {size} tokens", expected=str(expected), got=str(got)
            )


@requirement("RANGE-007")
@pytest.mark.parametrize(("top", "size"), [(8, 9), (8, 64), (16, 17)])
def test_uncovered_size_is_refused(subject: Subject, top: int, size: int) -> None:
    """A size above the maximum is an error that names the size, before and after others ran."""
    driven = spied(subject, max_num_batched_tokens=top, compile_ranges_endpoints=(4,))
    driven.check(6)
    with expect_refusal(f"a batch of {size} tokens where {top} is the maximum", str(size)):
        driven.check(size)
    driven.check(4)  # and the next batch is served


@requirement("RANGE-010")
@pytest.mark.parametrize("kind", ["UNBACKED", "BACKED_SIZE_OBLIVIOUS"])
def test_no_tokens(subject: Subject, tmp_path: Path, kind: str) -> None:
    """A batch of none lies in no range: it is refused, or runs right without an artifact."""
    driven = spied(
        subject, cache_root=str(tmp_path), dynamic_shapes=kind, compile_ranges_endpoints=(4,)
    )
    run(driven, 6)
    ran: list[tuple[int, int]] = []
    with may_refuse(True):
        ran = run(driven, 0)
    if ran:
        raise Violation(f"a batch of zero tokens was served by the artifact of {ran[0]}")
    run(driven, 4)  # and the next batch is served


_WARNS = re.compile("warn|error|ignor|drop|skip", re.IGNORECASE)


@requirement("RANGE-008")
@pytest.mark.parametrize(
    ("endpoints", "named"),
    [((4, 100), "100"), ((65,), "65"), ((8, 4), "4"), ((4, 4), "4"), ((-16, 4), "-16")],
)
def test_bad_endpoints_are_reported(
    subject: Subject,
    endpoints: tuple[int, ...],
    named: str,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """An error, a warning, a line of the log or of what is printed has the endpoint that is not
    used as given. Endpoints within the maximum may be sorted and joined instead: nothing that the
    user asked for is lost then.
    """
    capfd.readouterr()
    ran: dict[int, list[tuple[int, int]]] = {}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            driven = spied(subject, max_num_batched_tokens=64, compile_ranges_endpoints=endpoints)
            for size in (6, 4, 5, 8, 9, 64):
                ran[size] = run(driven, size)
        except Exception as error:
            if whose(error) is None:
                raise
            told = words_of(error)
        else:
            # a logger that does not propagate writes past pytest; much else may be printed
            lines = [line for text in capfd.readouterr() for line in text.splitlines()]
            printed = [line for line in lines if _WARNS.search(line)]
            told = " ".join([*(str(each.message) for each in caught), *caplog.messages, *printed])
            if all(1 <= each <= 64 for each in endpoints) and _cut_at(endpoints, ran):
                return
    if not is_named(named, told):
        raise Violation(
            f"compile_ranges_endpoints={endpoints} with a maximum of 64 was not reported",
            expected=f"an error or a warning with {named}",
            got=told[:300] or "nothing",
        )


def _cut_at(endpoints: tuple[int, ...], ran: dict[int, list[tuple[int, int]]]) -> bool:
    """Whether each size was served by the range that the sorted ``endpoints`` give it."""
    ends = sorted({*endpoints, 64})
    starts = [1, *(each + 1 for each in ends)]
    return all(
        each == next((a, b) for a, b in zip(starts, ends, strict=False) if a <= size <= b)
        for size, ranges in ran.items()
        for each in ranges
    )
