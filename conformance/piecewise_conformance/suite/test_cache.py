"""CACHE: whatever lies in the cache folder, the result is right."""

from __future__ import annotations

import ast
import os
from pathlib import Path
from typing import Any

import pytest
from piecewise_conformance.core.marks import requirement
from piecewise_conformance.core.verdict import Violation
from piecewise_conformance.subject.subject import Subject
from piecewise_conformance.testkit import spy
from piecewise_conformance.testkit.caches.managers import (
    RANGE,
    cache_file,
    contents,
    expect_work,
    fill,
    manager,
    put_file,
    read_file,
    start,
)
from piecewise_conformance.testkit.pieces import times


@requirement("CACHE-001")
def test_warm_start(subject: Subject, tmp_path: Path) -> None:
    """Three pieces saved are three pieces loaded, by the next start and the one after it."""
    cases = [times(2), times(3), times(5)]
    fill(subject, tmp_path, *cases)
    for _ in range(2):
        expect_work(start(subject, tmp_path, *cases), loads=3, compiles=0, what="a warm start")


@requirement("CACHE-001")
def test_part_of_it_is_new(subject: Subject, tmp_path: Path) -> None:
    """A start that needs one piece more compiles that one, and the next start has it too."""
    fill(subject, tmp_path, times(2))
    cases = [times(2), times(3)]
    with spy.spying() as log:
        second = manager(subject, tmp_path)
        for index, case in enumerate(cases):
            second.compile(case.gm, case.traced, RANGE, index, 2)
        second.save()
    expect_work(log, loads=1, compiles=1, what="a start with one new piece")
    expect_work(start(subject, tmp_path, *cases), loads=2, compiles=0, what="the start after it")


@requirement("CACHE-001")
def test_what_replaced_another(subject: Subject, tmp_path: Path) -> None:
    """A piece compiled where another one was stored before is loaded by the next start."""
    fill(subject, tmp_path, times(2), times(3))
    fill(subject, tmp_path, times(5), times(3))
    log = start(subject, tmp_path, times(5), times(3))
    expect_work(log, loads=2, compiles=0, what="a start after a piece was replaced")


@requirement("CACHE-002")
def test_torn_file(subject: Subject, tmp_path: Path) -> None:
    """The cache file cut at every byte: each start computes rightly, and can save again."""
    cases = [times(2), times(3)]
    fill(subject, tmp_path, *cases)
    whole = read_file(subject, tmp_path).encode()
    for length in range(len(whole)):
        put_file(subject, tmp_path, whole[:length])
        log = start(subject, tmp_path, *cases)
        if len(log.loads) + len(log.compiles) != 2:
            raise Violation(f"a file cut at byte {length}", expected="2 pieces loaded or compiled")
    fill(subject, tmp_path, *cases)
    expect_work(start(subject, tmp_path, *cases), loads=2, compiles=0, what="after a torn file")


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
    """Anything may stand in the cache file: the start compiles, is right, and can save."""
    cases = [times(2), times(3)]
    put_file(subject, tmp_path, GARBAGE[name])
    with spy.spying():
        for index, case in enumerate(cases):
            opened = manager(subject, tmp_path)
            case.check(opened.compile(case.gm, case.traced, RANGE, index, 2))
    put_file(subject, tmp_path, GARBAGE[name])
    fill(subject, tmp_path, *cases)
    expect_work(start(subject, tmp_path, *cases), loads=2, compiles=0, what=f"after {name}")


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


@requirement("CACHE-003")
@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_hostile_file(subject: Subject, tmp_path: Path, number: int) -> None:
    """Code in the cache file is not run, and costs no more than the cache."""
    marker = tmp_path / "marker"
    folder = tmp_path / "cache"
    folder.mkdir()
    (folder / cache_file(subject)).write_text(HOSTILE[number].format(marker=marker))
    start(subject, folder, times(2))
    if marker.exists():
        raise Violation(
            "code in the cache file was run", got=(folder / cache_file(subject)).read_text()[:300]
        )


@requirement("CACHE-003")
def test_hostile_pickle(subject: Subject, tmp_path: Path) -> None:
    """Neither is a pickle in the place of the cache file, or of a handle, loaded."""
    import pickle

    marker = tmp_path / "marker"
    payload = pickle.dumps(_Bomb(str(marker)))
    folder = tmp_path / "cache"
    folder.mkdir()
    for content in (payload, repr({((1, 8), 0, "spy"): payload}).encode()):
        put_file(subject, folder, content)
        start(subject, folder, times(2))
        if marker.exists():
            raise Violation("a pickle in the cache folder was loaded")


class _Bomb:
    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (open, (self.path, "w"))


@requirement("CACHE-004")
@pytest.mark.parametrize("name", ["prose", "list", "no-utf8", "text"])
def test_unreadable_file_is_kept(subject: Subject, tmp_path: Path, name: str) -> None:
    """After a save the content of a file that could not be read is still in the folder."""
    put_file(subject, tmp_path, GARBAGE[name])
    fill(subject, tmp_path, times(2))
    if GARBAGE[name] not in contents(tmp_path).values():
        raise Violation(
            "the content of the unreadable file is gone", got=str(list(contents(tmp_path)))
        )


@requirement("CACHE-004")
def test_every_unreadable_file_is_kept(subject: Subject, tmp_path: Path) -> None:
    """Neither does a second or third one that cannot be read take the place of the first."""
    texts = [f"{number} is not a cache".encode() for number in range(3)]
    for number, text in enumerate(texts):
        put_file(subject, tmp_path, text)
        fill(subject, tmp_path, times(number))
    gone = [text for text in texts if text not in contents(tmp_path).values()]
    if gone:
        raise Violation(
            "of three unreadable files, the content of these is gone",
            expected="none",
            got=str(gone),
        )


@requirement("CACHE-004")
def test_partly_readable_file_is_kept(subject: Subject, tmp_path: Path) -> None:
    """So is that of a file of which only some entries could be read."""
    fill(subject, tmp_path, times(2))
    literal = ast.literal_eval(read_file(subject, tmp_path))
    literal["note"] = "by hand"
    (tmp_path / cache_file(subject)).write_text(repr(literal))
    fill(subject, tmp_path, times(7), times(3))
    if not any(b"by hand" in each for each in contents(tmp_path).values()):
        raise Violation(
            "an entry that could not be read is gone", got=str(list(contents(tmp_path)))
        )


@requirement("CACHE-005")
def test_disabled_cache(subject: Subject, tmp_path: Path) -> None:
    """A disabled cache loads nothing of a full folder, and leaves every file as it is."""
    case = times(2)
    fill(subject, tmp_path, case)
    before = contents(tmp_path)
    with spy.spying() as log:
        off = manager(subject, tmp_path, disable=True)
        case.check(off.compile(case.gm, case.traced, RANGE, 0, 2))
        off.compile(times(3).gm, times(3).traced, RANGE, 1, 2)
        off.save()
    expect_work(log, loads=0, compiles=2, what="with the cache disabled")
    if contents(tmp_path) != before:
        raise Violation(
            "files changed", expected=str(list(before)), got=str(list(contents(tmp_path)))
        )


@requirement("CACHE-005")
def test_disabled_cache_in_no_folder(subject: Subject, tmp_path: Path) -> None:
    """With the cache disabled the folder need not exist, and is not made."""
    folder = tmp_path / "absent"
    with spy.spying():
        off = manager(subject, folder, disable=True)
        times(2).check(off.compile(times(2).gm, times(2).traced, RANGE))
        off.save()
    if folder.exists():
        raise Violation("the folder of a disabled cache was made")


def _stamp(subject: Subject, folder: Path) -> tuple[int, int]:
    """The time and the inode of the cache file, which must be there."""
    read_file(subject, folder)
    found = (folder / cache_file(subject)).stat()
    return found.st_mtime_ns, found.st_ino


def _make_old(subject: Subject, folder: Path) -> tuple[int, int]:
    """Let the cache file be of long ago, so that the next write shows; its stamp then."""
    read_file(subject, folder)
    os.utime(folder / cache_file(subject), (1, 1))
    return _stamp(subject, folder)


@requirement("CACHE-006")
def test_nothing_new(subject: Subject, tmp_path: Path) -> None:
    """A warm start that saves leaves the file's content, time and inode alone."""
    fill(subject, tmp_path, times(2))
    before = _make_old(subject, tmp_path)
    fill(subject, tmp_path, times(2))
    if _stamp(subject, tmp_path) != before:
        raise Violation("the cache file was written although nothing was new")


@requirement("CACHE-006")
def test_saving_twice(subject: Subject, tmp_path: Path) -> None:
    """The second of two saves in a row writes nothing."""
    with spy.spying():
        writer = manager(subject, tmp_path)
        writer.compile(times(2).gm, times(2).traced, RANGE)
        writer.save()
        before = _make_old(subject, tmp_path)
        writer.save()
    if _stamp(subject, tmp_path) != before:
        raise Violation("a second save without anything new wrote the file")


@requirement("CACHE-007")
def test_reader_keeps_the_old_file(subject: Subject, tmp_path: Path) -> None:
    """Who opened the file before a save reads the old content to its end."""
    fill(subject, tmp_path, times(2))
    old = read_file(subject, tmp_path).encode()
    with (tmp_path / cache_file(subject)).open("rb") as opened:
        head = opened.read(5)
        fill(subject, tmp_path, times(2), times(3), times(5))
        rest = opened.read()
    if read_file(subject, tmp_path).encode() == old:
        raise Violation("the save wrote nothing")
    if head + rest != old:
        raise Violation("a reader saw a mix", expected=str(old), got=str(head + rest))


@requirement("CACHE-007")
def test_nothing_is_left_behind(subject: Subject, tmp_path: Path) -> None:
    """Saves do not fill the folder with temporary files; a backup or two may stay."""
    names: list[set[str]] = []
    for number in range(8):
        fill(subject, tmp_path, times(2 + number % 2))  # each takes the other's place
        names.append(set(contents(tmp_path)))
    early, late = names[3], names[-1]
    if len(late) > len(early):
        raise Violation(
            "files after eight saves", expected=f"as after four, {sorted(early)}", got=str(late)
        )


@requirement("CACHE-011")
def test_artifact_is_gone(subject: Subject, tmp_path: Path) -> None:
    """If the compiler cannot load what a handle stands for, the piece is compiled."""
    case = times(2)
    fill(subject, tmp_path, case)
    with spy.spying() as log:
        log.fail_load = True
        reader = manager(subject, tmp_path)
        case.check(reader.compile(case.gm, case.traced, RANGE))
    expect_work(log, loads=0, compiles=1, what="an artifact that cannot be loaded")


@requirement("CACHE-011")
def test_compiler_loads_nothing(subject: Subject, tmp_path: Path) -> None:
    """So too if it gives None; the new artifact takes the place of the one that is gone."""
    case = times(2)
    fill(subject, tmp_path, case)
    with spy.spying() as log:
        log.load_nothing = True
        reader = manager(subject, tmp_path)
        case.check(reader.compile(case.gm, case.traced, RANGE))
        reader.save()
    expect_work(log, loads=0, compiles=1, what="a compiler that loads None")
    again = start(subject, tmp_path, case)
    expect_work(again, loads=1, compiles=0, what="the start after it")
    if [call.key for call in again.loads] != log.made:
        raise Violation(
            "the handle that is loaded after the new compile",
            expected=str(log.made),
            got=str([call.key for call in again.loads]),
        )


@requirement("CACHE-022")
@pytest.mark.parametrize("umask", [0o022, 0o002, 0o077])
def test_umask(subject: Subject, tmp_path: Path, umask: int) -> None:
    """The cache file, and one that took its place, are as readable as any new file."""
    before = os.umask(umask)
    try:
        plain = tmp_path / "plain"
        plain.touch()
        for cases in ([times(2)], [times(2), times(3)]):
            fill(subject, tmp_path, *cases)
            read_file(subject, tmp_path)  # it must be there
            mode, usual = (
                (tmp_path / name).stat().st_mode for name in (cache_file(subject), plain)
            )
            if mode != usual:
                raise Violation("the mode of the cache file", expected=oct(usual), got=oct(mode))
    finally:
        os.umask(before)


@requirement("CACHE-013")
def test_two_writers(subject: Subject, tmp_path: Path) -> None:
    """Managers that both opened an empty folder, and save one after the other, both have effect."""
    cases = [times(2), times(3), times(5)]
    with spy.spying():
        writers = [manager(subject, tmp_path) for _ in cases]
        for index, (writer, case) in enumerate(zip(writers, cases, strict=True)):
            writer.compile(case.gm, case.traced, RANGE, index, 3)
        for writer in writers:
            writer.save()
    expect_work(start(subject, tmp_path, *cases), loads=3, compiles=0, what="three writers")
