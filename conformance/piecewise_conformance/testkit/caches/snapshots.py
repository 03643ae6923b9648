"""A cache folder as opaque bytes: taken, put back, and corrupted, whatever its format is.

A cache may be one text file, a database, or a file for each entry. Nothing here knows which: a
snapshot maps the paths of the files to their bytes. Files may come and go while they are looked at,
for a cache may have a process of its own.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from itertools import combinations
from pathlib import Path

Files = dict[str, bytes]

MOST_FILES = 8  # of one folder that are corrupted in turn


def take(folder: Path) -> Files:
    """Every file below ``folder`` that is not a lock, by its path in it."""
    found: Files = {}
    with suppress(OSError):
        for path in sorted(folder.rglob("*")):
            with suppress(OSError):
                if path.is_file() and not path.name.endswith(".lock"):
                    found[str(path.relative_to(folder))] = path.read_bytes()
    return found


def put_back(folder: Path, files: Mapping[str, bytes]) -> None:
    """Let ``folder`` hold ``files`` and nothing else, each as a new file.

    Where a file is cut short instead, some file systems write it to the disk first, which takes
    milliseconds.
    """
    shutil.rmtree(folder, ignore_errors=True)
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_bytes(content)
    folder.mkdir(parents=True, exist_ok=True)


def some(files: Mapping[str, bytes], most: int = MOST_FILES) -> list[str]:
    """At most ``most`` names of ``files`` that are not empty, spread over all of them."""
    names = sorted(name for name, content in files.items() if content)
    if len(names) <= most:
        return names
    return random.Random(len(names)).sample(names, most)


def positions(length: int, most: int) -> list[int]:
    """At most ``most`` positions in ``length`` bytes: the first and the last, and drawn ones."""
    if length <= most:
        return list(range(length))
    inside = random.Random(length).sample(range(1, length - 1), most - 2)
    return [0, *sorted(inside), length - 1]


def cut(content: bytes, most: int) -> Iterator[bytes]:
    """``content`` cut off at sampled positions."""
    for at in positions(len(content), most):
        yield content[:at]


def flipped(content: bytes, most: int) -> Iterator[bytes]:
    """``content`` with one bit flipped, at sampled positions."""
    for at in positions(len(content), most):
        yield content[:at] + bytes([content[at] ^ 1 << at % 8]) + content[at + 1 :]


def emptied(content: bytes, most: int) -> Iterator[bytes]:
    """Nothing."""
    yield b""


def each_file(
    files: Files, corrupt: Callable[[bytes, int], Iterator[bytes]], most: int
) -> Iterator[tuple[str, Files]]:
    """What was done, and ``files`` with one of them corrupted, in turn.

    Each file has at least four corrupt forms, if it is that long, and all have about ``most``.
    """
    names = some(files)
    for name in names:
        for number, bad in enumerate(corrupt(files[name], max(4, most // len(names)))):
            yield f"{name} was {corrupt.__name__} ({number})", {**files, name: bad}


def without(files: Files) -> Iterator[tuple[str, Files]]:
    """``files`` without one of them, in turn."""
    for name in some(files):
        yield f"{name} was deleted", {each: files[each] for each in files if each != name}


def swapped(files: Files) -> Iterator[tuple[str, Files]]:
    """``files`` with the contents of two of them exchanged, in turn."""
    for one, other in combinations(some(files), 2):
        yield f"{one} and {other} were swapped", {**files, one: files[other], other: files[one]}


def older(files: Files, before: Files) -> Iterator[tuple[str, Files]]:
    """``files`` with one of them, and with all, as they were ``before``; files that are new stay,
    as where an old copy is unpacked over a folder.
    """
    for name in some({name: old for name, old in before.items() if files.get(name) != old}):
        yield f"{name} was replaced by an older copy", {**files, name: before[name]}
    yield "an older copy was put over the folder", {**files, **before}


def exchanged(files: Files, one: bytes, other: bytes) -> Files:
    """``files`` where ``one`` and ``other``, which are of one length, have changed places.

    So a database stays a database, and a text a text.
    """
    if len(one) != len(other):
        raise ValueError(f"{one!r} and {other!r} are not of one length")
    return {
        name: other.join(part.replace(other, one) for part in content.split(one))
        for name, content in files.items()
    }
