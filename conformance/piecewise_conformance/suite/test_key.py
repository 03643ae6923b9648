"""KEY: what is stored under a key is found under it, and nowhere else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from piecewise_conformance.core.marks import requirement
from piecewise_conformance.core.verdict import Violation
from piecewise_conformance.subject.subject import Subject
from piecewise_conformance.testkit import spy
from piecewise_conformance.testkit.caches.managers import manager
from piecewise_conformance.testkit.pieces import times

HANDLES = [
    ("key", "path/to/artifact"),
    ("é 漢字 😀", 'it\'s "both"\n\ttab \\ backslash'),
    ("one",),
    (),
    [],
    {},
    {"nested": [1, (2,), {"deep": None}]},
    "it's",
    'say "hi"',
    "both ' and \"",
    "two\nlines\r\n",
    "tab\tand\x00nul",
    "back\\slash \\n",
    "é 漢字 😀",
    "\ud800",
    "'''",
    "#} ] )",
    b"\x00bytes\xff",
    0,
    -1,
    True,
    1.0,
    -0.0,
    1e308,
    5e-324,
    2**200,
    3j,
    {1, 2},
    [1, True, 1.0],
    "x" * 5000,
    ("key", "C:\\cache\\new"),
    ("", ""),
    ("", "artifact"),
    ("key", "\x7f\x85\u2028 \u200b"),
    ("key", "line\nend"),
    ("it's", 'a "path"'),
    "",
]


@requirement("KEY-002")
@pytest.mark.parametrize("handle", HANDLES, ids=[repr(each)[:20] for each in range(len(HANDLES))])
def test_handle_round_trip(subject: Subject, tmp_path: Path, handle: Any) -> None:
    """A handle comes back to the compiler's load as it was, in value and type, or not at all."""
    case, neighbour = times(2), times(3)
    with spy.spying() as log:
        log.handle = lambda number: handle
        writer = manager(subject, tmp_path)
        writer.compile(case.gm, case.traced, (1, 8), 0, 2)
        log.handle = lambda number: ("plain", "neighbour")
        writer.compile(neighbour.gm, neighbour.traced, (1, 8), 1, 2)
        writer.save()
    with spy.spying() as log:
        reader = manager(subject, tmp_path)
        case.check(reader.compile(case.gm, case.traced, (1, 8), 0, 2))
        neighbour.check(reader.compile(neighbour.gm, neighbour.traced, (1, 8), 1, 2))
    loaded = [call.key for call in log.loads]
    if ("plain", "neighbour") not in loaded:
        raise Violation(f"the entry next to the one with handle {handle!r} was not found")
    for found in loaded:
        if found != ("plain", "neighbour") and repr(found) != repr(handle):
            raise Violation("a handle that was loaded", expected=repr(handle), got=repr(found))
    if len(loaded) == 1 and _must_survive(handle):
        raise Violation(
            f"the handle {handle!r} was not found again", expected="a load", got="a compile"
        )


def _must_survive(handle: Any) -> bool:
    """What Inductor's adaptors use, pairs of texts; a cache that takes no others compiles anew."""
    texts = isinstance(handle, tuple) and all(isinstance(each, str) for each in handle)
    return texts and len(handle) == 2 and "\ud800" not in handle


@requirement("KEY-002")
def test_many_keys_round_trip(subject: Subject, tmp_path: Path) -> None:
    """A later manager finds every one of thirty places that were saved."""
    case = times(2)
    ranges = [(1, 1), (1, 2), (2, 11), (11, 11), (12, 100_000)]
    places = [(ends, index) for ends in ranges for index in (0, 1, 9, 10, 11, 100)]
    with spy.spying():
        writer = manager(subject, tmp_path)
        for ends, index in places:
            writer.compile(case.gm, case.traced, ends, index, 101)
        writer.save()
        reader = manager(subject, tmp_path)
        lost = [place for place in places if reader.load(case.gm, case.traced, *place) is None]
    if lost:
        raise Violation("places after a round trip", expected="all 30", got=f"without {lost}")


@requirement("KEY-003")
@pytest.mark.parametrize(
    ("ends", "index", "compiler"),
    [
        pytest.param((1, 8), 1, spy.NAME, id="index"),
        pytest.param((1, 9), 0, spy.NAME, id="end"),
        pytest.param((2, 8), 0, spy.NAME, id="start"),
        pytest.param((8, 8), 0, spy.NAME, id="single-size"),
        pytest.param((1, 8), 0, spy.OTHER_NAME, id="compiler"),
    ],
)
def test_no_other_place_is_hit(
    subject: Subject, tmp_path: Path, ends: tuple[int, int], index: int, compiler: str
) -> None:
    """The same graph elsewhere, or by another compiler, is compiled."""
    case = times(2)
    with spy.spying():
        writer = manager(subject, tmp_path)
        writer.compile(case.gm, case.traced, (1, 8), 0, 2)
        writer.save()
    with spy.spying() as log:
        reader = manager(subject, tmp_path, compiler=compiler)
        reader.compile(case.gm, case.traced, ends, index, 2)
    if log.loads or not log.compiles:
        raise Violation(
            f"range {ends}, index {index} was served by the entry of range (1, 8), index 0",
            expected="a compile",
            got="a load",
        )
