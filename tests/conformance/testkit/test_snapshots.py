"""Corrupt copies of a folder of which only the bytes are known."""

from __future__ import annotations

from pathlib import Path

import pytest
from piecewise_conformance.testkit.caches import snapshots

FILES = {"a.db": bytes(range(200)), "sub/b.bin": b"second " * 30, "empty": b""}


def test_back_and_forth(tmp_path: Path) -> None:
    """What is put back is what was taken; locks are left out, and other files removed."""
    folder = tmp_path / "cache"
    snapshots.put_back(folder, FILES)
    (folder / "a.db.lock").touch()
    assert snapshots.take(folder) == FILES
    snapshots.put_back(folder, {"a.db": b"x"})
    assert snapshots.take(folder) == {"a.db": b"x"}
    assert snapshots.take(tmp_path / "none") == {}


@pytest.mark.parametrize("length", [0, 1, 2, 3, 60, 61, 10_000])
def test_positions(length: int) -> None:
    """At most as many as are wanted, in order, the ends among them, and the same every time."""
    found = snapshots.positions(length, 60)
    assert found == sorted(set(found)) == snapshots.positions(length, 60)
    assert len(found) == min(length, 60)
    assert not length or (found[0], found[-1]) == (0, length - 1)


@pytest.mark.parametrize("corrupt", [snapshots.cut, snapshots.flipped])
def test_each_file(corrupt: object) -> None:
    """One file is corrupt at a time, empty files never, and no more often than is wanted."""
    assert callable(corrupt)
    changed: dict[str, int] = {}
    for what, files in snapshots.each_file(FILES, corrupt, 20):
        (name,) = [each for each in FILES if files[each] != FILES[each]]
        assert name in what
        changed[name] = changed.get(name, 0) + 1
    assert changed == {"a.db": 10, "sub/b.bin": 10}


def test_whole_files() -> None:
    """Files that are deleted, swapped, and older."""
    assert [set(files) for _, files in snapshots.without(FILES)] == [
        {"sub/b.bin", "empty"},
        {"a.db", "empty"},
    ]
    ((_, files),) = snapshots.swapped(FILES)
    assert files == {**FILES, "a.db": FILES["sub/b.bin"], "sub/b.bin": FILES["a.db"]}
    old = {"a.db": b"old", "gone": b"gone"}
    found = [files for _, files in snapshots.older(FILES, old)]
    assert {**FILES, "a.db": b"old"} in found
    assert found[-1] == {**FILES, **old}


def test_exchanged_texts() -> None:
    """Two texts of one length change places wherever they stand, and sizes stay."""
    files = {"one": b"..first..other..first", "two": b"other"}
    found = snapshots.exchanged(files, b"first", b"other")
    assert found == {"one": b"..other..first..other", "two": b"first"}
    with pytest.raises(ValueError, match="not of one length"):
        snapshots.exchanged(files, b"first", b"longer")


def test_many_files() -> None:
    """Of a folder with many files a sample is corrupted, the same every time."""
    many = {f"{number}.entry": b"x" for number in range(100)}
    assert len(snapshots.some(many)) == snapshots.MOST_FILES
    assert snapshots.some(many) == snapshots.some(dict(reversed(many.items())))
