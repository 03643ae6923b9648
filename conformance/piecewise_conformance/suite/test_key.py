"""KEY: the cache file, its keys and its handles."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
from piecewise_conformance.core.marks import requirement
from piecewise_conformance.core.verdict import Violation
from piecewise_conformance.subject.subject import Subject
from piecewise_conformance.testkit import spy
from piecewise_conformance.testkit.caches.managers import cache_file, manager, read_file
from piecewise_conformance.testkit.pieces import times


def _parts(value: Any) -> list[Any]:
    inside = value.values() if isinstance(value, dict) else value
    if not isinstance(value, (dict, tuple, list)):
        return [value]
    return [value, *(part for each in inside for part in _parts(each))]


@requirement("KEY-001")
def test_file_is_a_literal(subject: Subject, tmp_path: Path) -> None:
    """The file is a dict literal with the keys of what was compiled, and their handles."""
    places = {
        ((1, 8), 0): times(2),
        ((1, 8), 1): times(3),
        ((4, 4), 0): times(2),
        ((9, 64), 12): times(5),
    }
    with spy.spying() as log:
        writer = manager(subject, tmp_path)
        for (ends, index), case in places.items():
            writer.compile(case.gm, case.traced, ends, index, 13)
        writer.save()
    if not (tmp_path / cache_file(subject)).is_file():
        raise Violation(
            f"there is no {cache_file(subject)}",
            got=str(sorted(p.name for p in tmp_path.iterdir())),
        )
    try:
        literal = ast.literal_eval(read_file(subject, tmp_path))
    except (ValueError, SyntaxError) as error:
        raise Violation("the cache file is no literal", got=str(error)) from None
    expected = {(ends, index, "spy") for ends, index in places}
    if set(literal) != expected:
        raise Violation(
            "keys in the cache file", expected=str(sorted(expected)), got=str(list(literal))
        )
    for (ends, index), number in zip(places, range(len(log.compiles)), strict=True):
        parts = _parts(literal[ends, index, "spy"])
        if not any(isinstance(part, tuple) and part[:1] == ("spy",) for part in parts):
            raise Violation(f"entry {number} lacks the compiler's handle", got=str(parts[0]))


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
        raise Violation(f"the entry beside the one with handle {handle!r} was not found")
    for found in loaded:
        if found != ("plain", "neighbour") and repr(found) != repr(handle):
            raise Violation("a handle came back changed", expected=repr(handle), got=repr(found))
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
    """A later manager has the very keys that were saved."""
    case = times(2)
    with spy.spying():
        writer = manager(subject, tmp_path)
        for start, end in [(1, 1), (1, 2), (2, 11), (11, 11), (12, 100_000)]:
            for index in (0, 1, 9, 10, 11, 100):
                writer.compile(case.gm, case.traced, (start, end), index, 101)
        writer.save()
        written, read = writer.keys(), manager(subject, tmp_path).keys()
    if written != read or len(written) != 30:
        raise Violation(
            "keys after a round trip", expected=f"30: {sorted(written)}", got=str(sorted(read))
        )


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


BAD_KEYS: dict[str, Any] = {
    "bool-index": ((1, 8), True, "spy"),
    "float-index": ((1, 8), 1.0, "spy"),
    "text-index": ((1, 8), "1", "spy"),
    "negative-index": ((1, 8), -1, "spy"),
    "reversed-range": ((8, 1), 1, "spy"),
    "zero-start": ((0, 8), 1, "spy"),
    "bool-start": ((True, 8), 1, "spy"),
    "float-end": ((1, 8.0), 1, "spy"),
    "text-range": ("(1, 8)", 1, "spy"),
    "three-ends": ((1, 8, 9), 1, "spy"),
    "no-range": (8, 1, "spy"),
    "none-range": (None, 1, "spy"),
    "no-compiler": ((1, 8), 1, None),
    "bytes-compiler": ((1, 8), 1, b"spy"),
    "short": ((1, 8), 1),
    "long": ((1, 8), 1, "spy", 0),
    "text": "((1, 8), 1, 'spy')",
    "number": 7,
}


@requirement("KEY-004")
@pytest.mark.parametrize("name", BAD_KEYS)
def test_malformed_key_is_no_entry(subject: Subject, tmp_path: Path, name: str) -> None:
    """A malformed key neither matches a piece nor hides the sound entry beside it."""
    subject.get("Range")  # who knows no ranges has other keys
    case, other = times(2), times(3)
    with spy.spying():
        writer = manager(subject, tmp_path)
        writer.compile(case.gm, case.traced, (1, 8), 0, 2)
        writer.compile(other.gm, other.traced, (1, 8), 1, 2)
        writer.save()
    literal = ast.literal_eval(read_file(subject, tmp_path))
    # the entry of piece 1 is moved under the malformed key
    if ((1, 8), 1, "spy") not in literal:
        raise Violation("the key of a stored piece is missing", got=str(literal))
    entry = literal.pop(((1, 8), 1, "spy"))
    work = {}
    # a cache may have its entries elsewhere, too, and know piece 1 without this one
    for what, more in (("without", {}), ("with", {BAD_KEYS[name]: entry})):
        (tmp_path / cache_file(subject)).write_text(repr({**literal, **more}))
        with spy.spying() as log:
            reader = manager(subject, tmp_path)
            case.check(reader.compile(case.gm, case.traced, (1, 8), 0, 2))
            other.check(reader.compile(other.gm, other.traced, (1, 8), 1, 2))
        work[what] = f"{len(log.loads)} loads and {len(log.compiles)} compiles"
    if work["with"] != work["without"] or not log.loads:
        raise Violation(
            f"a file with one sound key and the key {BAD_KEYS[name]!r}",
            expected=f"{work['without']}, as without that",
            got=work["with"],
        )
    for ends in ((8, 8), (1, 1), (1, 9), (8, 9), (1, 64)):  # what such a key might be taken for
        with spy.spying() as log:
            reader = manager(subject, tmp_path)  # which has compiled nothing itself
            other.check(reader.compile(other.gm, other.traced, ends, 1, 2))
        if log.loads:
            raise Violation(f"the entry under {BAD_KEYS[name]!r} was used for the range {ends}")
