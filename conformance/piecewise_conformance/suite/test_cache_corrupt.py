"""CACHE: whatever lies in the cache folder, the result is right.

A cache is opaque here: a corrupt folder is made from a good one, of which only the bytes are known.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from piecewise_conformance.core.marks import requirement
from piecewise_conformance.core.verdict import Violation
from piecewise_conformance.subject.subject import Subject
from piecewise_conformance.testkit import spy
from piecewise_conformance.testkit.caches import snapshots
from piecewise_conformance.testkit.caches.managers import (
    RANGE,
    contents,
    costs,
    expect_work,
    fill,
    manager,
    start,
)
from piecewise_conformance.testkit.pieces import PieceCase, times

CUTS = 60  # of a folder


@requirement("CACHE-002")
def test_torn_file(subject: Subject, tmp_path: Path) -> None:
    """Each file cut at sampled bytes: each start computes rightly, and can save again."""
    cases, folder = [times(2), times(3)], tmp_path / "cache"
    fill(subject, folder, *cases)
    whole = snapshots.take(folder)
    for what, files in snapshots.each_file(whole, snapshots.cut, CUTS):
        snapshots.put_back(folder, files)
        log = start(subject, folder, *cases)
        if len(log.loads) + len(log.compiles) != 2:
            raise Violation(f"a start after {what}", expected="2 pieces loaded or compiled")
    fill(subject, folder, *cases)
    expect_work(
        start(subject, folder, *cases), loads=2, compiles=0, what="a start after a truncated file"
    )


GARBAGE: dict[str, bytes] = {
    "empty": b"",
    "blank": b"\n\n",
    "null-bytes": b"\x00" * 100,
    "no-utf8": b"\xff\xfe\xfa",
    "list": b"[1, 2]",
    "number": b"7",
    "none": b"None",
    "set": b"{1, 2}",
    "text": b"'text'",
    "unhashable-key": b"{[1]: 2}",
    "prose": b"this is not Python",
    "deep": b"(" * 5000 + b")" * 5000,
    "minus-chain": b"-" * 20_000 + b"1",
    "sum-chain": b"1" + b"+1" * 20_000,
    "json": b'{"a": true, "b": null}',
    "bad-escape": b"{'\\x': 1}",
    "values-of-other-types": b"{((1, 8), 0, 'spy'): 7, ((1, 8), 1, 'spy'): [None]}",
    "values-none": b"{((1, 8), 0, 'spy'): None, ((1, 8), 1, 'spy'): {}}",
    "foreign-values": b"{((1, 8), 0, 'spy'): {'graph_handle': 1, 'cache_key': ('a', 2)}}",
    "bare-handles": b"{((1, 8), 0, 'spy'): ('spy', 'none such'), ((1, 8), 1, 'spy'): ()}",
}


@requirement("CACHE-002")
@pytest.mark.parametrize("name", GARBAGE)
def test_foreign_file(subject: Subject, tmp_path: Path, name: str) -> None:
    """Anything may stand in the files of a cache: the start compiles, is right, and can save."""
    cases, folder = [times(2), times(3)], tmp_path / "cache"
    fill(subject, folder, *cases)
    foreign = dict.fromkeys(snapshots.take(folder), GARBAGE[name])
    snapshots.put_back(folder, foreign)
    with spy.spying():
        for index, case in enumerate(cases):
            opened = manager(subject, folder)
            case.check(opened.compile(case.gm, case.traced, RANGE, index, 2))
    snapshots.put_back(folder, foreign)
    fill(subject, folder, *cases)
    expect_work(start(subject, folder, *cases), loads=2, compiles=0, what=f"after {name}")


HOSTILE = [
    "__import__('os').system('touch {marker}')",
    "{{((1, 8), 0, 'spy'): __import__('os').system('touch {marker}')}}",
    "{{open('{marker}', 'w'): 1}}",
    "import os\nos.system('touch {marker}')\n{{}}",
    "{{**eval(\"open('{marker}', 'w') and {{}}\")}}",
    "[open('{marker}', 'w') for _ in (1,)]",
    "f\"{{open('{marker}', 'w')}}\"",
    "(lambda: open('{marker}', 'w'))()",
    # with no builtins, and without a word that looks like danger: all classes can be had from ()
    "[each.__init__.__globals__['system']('touch {marker}')"
    " for each in ().__class__.__base__.__subclasses__() if each.__name__ == '_wrap_close']",
    "{{((1, 8), 0, 'spy'): [each.__init__.__globals__['system']('touch {marker}')"
    " for each in ().__class__.__base__.__subclasses__() if each.__name__ == '_wrap_close']}}",
    # a sound literal whose texts are code, for who evaluates what a literal holds
    "{{((1, 8), 0, 'spy'): \"__import__('os').system('touch {marker}')\"}}",
    "{{((1, 8), 0, 'spy'): {{'graph_handle': \"open('{marker}', 'w')\", 'cache_key': 'x'}}}}",
    "{{\"((1, 8), 0, open('{marker}', 'w'))\": 1}}",
    "{{((\"open('{marker}', 'w')\", 8), 0, 'spy'): 1}}",
]


def _put_everywhere(subject: Subject, folder: Path, content: bytes) -> None:
    """A cache of one piece in ``folder``, each file of which is ``content``."""
    fill(subject, folder, times(2))
    snapshots.put_back(folder, dict.fromkeys(snapshots.take(folder), content))


@requirement("CACHE-003")
@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_hostile_file(subject: Subject, tmp_path: Path, number: int) -> None:
    """Code in the files of a cache is not run, and costs no more than the cache."""
    marker, folder = tmp_path / "marker", tmp_path / "cache"
    text = HOSTILE[number].format(marker=marker)
    _put_everywhere(subject, folder, text.encode())
    start(subject, folder, times(2))
    if marker.exists():
        raise Violation("code in the cache folder was run", got=text[:300])


@requirement("CACHE-003")
def test_hostile_pickle(subject: Subject, tmp_path: Path) -> None:
    """Neither is a pickle in the place of a file of the cache, or of a handle, loaded."""
    import pickle

    marker, folder = tmp_path / "marker", tmp_path / "cache"
    payload = pickle.dumps(_Bomb(str(marker)))
    for content in (payload, repr({((1, 8), 0, "spy"): payload}).encode()):
        _put_everywhere(subject, folder, content)
        start(subject, folder, times(2))
        if marker.exists():
            raise Violation("a pickle in the cache folder was loaded")


class _Bomb:
    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (open, (self.path, "w"))


def _is_kept(content: bytes, root: Path) -> bool:
    """Whether a file below ``root`` holds ``content``, by itself or among others."""
    return any(content in each for each in contents(root).values())


def _files_that_matter(subject: Subject, folder: Path, bad: bytes, *cases: PieceCase) -> list[str]:
    """The files of the cache in ``folder`` that cost a piece where they are ``bad``."""
    files = snapshots.take(folder)
    found = []
    for name in snapshots.some(files):
        snapshots.put_back(folder, {**files, name: bad})
        if costs(subject, folder, *cases):
            found.append(name)
    snapshots.put_back(folder, files)
    return found


@requirement("CACHE-004")
@pytest.mark.parametrize("name", ["prose", "list", "no-utf8", "text"])
def test_unreadable_file_is_kept(subject: Subject, tmp_path: Path, name: str) -> None:
    """After a save the content of a file that could not be read is kept, whichever file it was."""
    folder, bad = tmp_path / "cache", GARBAGE[name] * 3
    fill(subject, folder, times(2))
    files = snapshots.take(folder)
    for which in _files_that_matter(subject, folder, bad, times(2)):
        snapshots.put_back(folder, {**files, which: bad})
        fill(subject, folder, times(2))
        if not _is_kept(bad, tmp_path):
            raise Violation(
                f"the content of {which}, which could not be read, is gone",
                expected="it is kept in a file in the cache folder or next to it",
                got=str(list(contents(tmp_path))),
            )


@requirement("CACHE-004")
def test_every_unreadable_file_is_kept(subject: Subject, tmp_path: Path) -> None:
    """Of several that could not be read, one after the other, the newest is kept."""
    folder = tmp_path / "cache"
    fill(subject, folder, times(2))
    files = snapshots.take(folder)
    for which in _files_that_matter(subject, folder, b"not a cache", times(2)):
        snapshots.put_back(folder, files)
        for number in range(3):
            text = f"{number} is not a cache".encode()
            (folder / which).unlink(missing_ok=True)
            (folder / which).write_bytes(text)
            fill(subject, folder, times(2))
            if not _is_kept(text, tmp_path):
                raise Violation(
                    f"the content of the newest of {number + 1} unreadable files {which} is gone",
                    expected="it is kept",
                    got=str(list(contents(tmp_path))),
                )
