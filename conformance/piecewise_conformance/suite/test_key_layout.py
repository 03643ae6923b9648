"""KEY: the cache file of the seed, a literal that people and tools read.

Only subjects that offer ``seed-layout`` are judged by it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from piecewise_conformance.core.marks import requirement
from piecewise_conformance.core.verdict import Violation
from piecewise_conformance.subject.subject import Subject
from piecewise_conformance.testkit import spy
from piecewise_conformance.testkit.caches import seed_layout
from piecewise_conformance.testkit.caches.managers import contents, fill, manager, start
from piecewise_conformance.testkit.pieces import times


def _parts(value: Any) -> list[Any]:
    inside = value.values() if isinstance(value, dict) else value
    if not isinstance(value, (dict, tuple, list)):
        return [value]
    return [value, *(part for each in inside for part in _parts(each))]


@requirement("KEY-001")
def test_file_is_a_literal(subject: Subject, tmp_path: Path) -> None:
    """The file is a dict literal with the keys of what was compiled, and their handles."""
    subject.need(seed_layout.ABILITY)
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
    literal = seed_layout.read_literal(subject, tmp_path)
    expected = {(ends, index, "spy") for ends, index in places}
    if set(literal) != expected:
        raise Violation(
            "keys in the cache file", expected=str(sorted(expected)), got=str(list(literal))
        )
    for (ends, index), number in zip(places, range(len(log.compiles)), strict=True):
        parts = _parts(literal[ends, index, "spy"])
        if not any(isinstance(part, tuple) and part[:1] == ("spy",) for part in parts):
            raise Violation(f"entry {number} lacks the compiler's handle", got=str(parts[0]))


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
    subject.need(seed_layout.ABILITY)
    subject.get("Range")  # a subject without ranges has other keys
    case, other = times(2), times(3)
    with spy.spying():
        writer = manager(subject, tmp_path)
        writer.compile(case.gm, case.traced, (1, 8), 0, 2)
        writer.compile(other.gm, other.traced, (1, 8), 1, 2)
        writer.save()
    literal = seed_layout.read_literal(subject, tmp_path)
    # the entry of piece 1 is moved under the malformed key
    if ((1, 8), 1, "spy") not in literal:
        raise Violation("the key of a stored piece is missing", got=str(literal))
    entry = literal.pop(((1, 8), 1, "spy"))
    work = {}
    # a cache may have its entries elsewhere, too, and know piece 1 without this one
    for what, more in (("without", {}), ("with", {BAD_KEYS[name]: entry})):
        seed_layout.write_file(subject, tmp_path, repr({**literal, **more}))
        with spy.spying() as log:
            reader = manager(subject, tmp_path)
            case.check(reader.compile(case.gm, case.traced, (1, 8), 0, 2))
            other.check(reader.compile(other.gm, other.traced, (1, 8), 1, 2))
        work[what] = f"{len(log.loads)} loads and {len(log.compiles)} compiles"
    if work["with"] != work["without"] or not log.loads:
        raise Violation(
            f"a file with a valid key and the key {BAD_KEYS[name]!r}",
            expected=f"{work['without']}, as without that",
            got=work["with"],
        )
    for ends in ((8, 8), (1, 1), (1, 9), (8, 9), (1, 64)):  # what such a key might be taken for
        with spy.spying() as log:
            reader = manager(subject, tmp_path)  # which has compiled nothing itself
            other.check(reader.compile(other.gm, other.traced, ends, 1, 2))
        if log.loads:
            raise Violation(f"the entry under {BAD_KEYS[name]!r} was used for the range {ends}")


@requirement("KEY-005")
def test_partly_readable_file_is_kept(subject: Subject, tmp_path: Path) -> None:
    """The content of a file of which only some entries could be read is kept by a save."""
    subject.need(seed_layout.ABILITY)
    fill(subject, tmp_path, times(2))
    literal = seed_layout.read_literal(subject, tmp_path)
    literal["note"] = "by hand"
    seed_layout.write_file(subject, tmp_path, repr(literal))
    fill(subject, tmp_path, times(7), times(3))
    if not any(b"by hand" in each for each in contents(tmp_path).values()):
        raise Violation(
            "an entry that could not be read is gone", got=str(list(contents(tmp_path)))
        )


@requirement("KEY-007")
@pytest.mark.parametrize("what", ["handles", "values"])
def test_swapped_entries(subject: Subject, tmp_path: Path, what: str) -> None:
    """Two keys whose handles, or whose values, were exchanged do not give each other's results."""
    subject.need(seed_layout.ABILITY)
    cases = [times(2), times(3)]
    fill(subject, tmp_path, *cases)
    literal = seed_layout.read_literal(subject, tmp_path)
    (first, one), (second, other) = literal.items()
    swapped = repr({first: other, second: one})
    if what == "handles":
        text = swapped = repr(literal)
        for handle in _handles(one):
            for rival in _handles(other):
                marked = swapped.replace(repr(handle), "<first>").replace(repr(rival), "<second>")
                swapped = marked.replace("<first>", repr(rival)).replace("<second>", repr(handle))
        if swapped == text:
            raise Violation("the file does not contain the compiler's handles", got=swapped)
    seed_layout.write_file(subject, tmp_path, swapped)
    start(subject, tmp_path, *cases)


def _handles(value: Any) -> list[tuple[Any, ...]]:
    return [part for part in _parts(value) if isinstance(part, tuple) and part[:1] == ("spy",)]


@requirement("KEY-008")
def test_reader_keeps_the_old_file(subject: Subject, tmp_path: Path) -> None:
    """Who opened the file before a save reads the old content to its end."""
    name = seed_layout.cache_file(subject)
    fill(subject, tmp_path, times(2))
    old = seed_layout.read_file(subject, tmp_path).encode()
    with (tmp_path / name).open("rb") as opened:
        head = opened.read(5)
        fill(subject, tmp_path, times(2), times(3), times(5))
        rest = opened.read()
    if seed_layout.read_file(subject, tmp_path).encode() == old:
        raise Violation("the save wrote nothing")
    if head + rest != old:
        raise Violation(
            "a reader got a mix of the old and the new file",
            expected=str(old),
            got=str(head + rest),
        )
