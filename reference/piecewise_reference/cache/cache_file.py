"""The cache file: a readable Python literal that maps keys to handles.

A key is ``((start, end), graph_index, compiler_name)``. Several processes may share the file,
any of them may be killed while it writes, and its content cannot be trusted. It is therefore read
as literals only, entry by entry. An unreadable entry is a miss, and the unreadable file is kept
under another name when the file is written again. A write merges under a lock, then renames.
"""

from __future__ import annotations

import ast
import logging
import os
import uuid
import warnings
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

from filelock import FileLock

from ..fastpath import cache_lines
from ..fastpath.gc_pause import gc_paused
from ..ranges import Range

logger = logging.getLogger(__name__)

FILE_NAME = "vllm_compile_cache.py"
_LOCK_SECONDS = 60

Key = tuple[Range, int, str]

# Everything that literal_eval raises for invalid text, including huge or deeply nested text.
_NOT_A_LITERAL = (ValueError, SyntaxError, TypeError, MemoryError, RecursionError)


@dataclass
class Contents:
    """The content of a cache file; ``intact`` is False if any part of it is unreadable."""

    entries: dict[Key, Any] = field(default_factory=dict)
    intact: bool = True


def parse_key(key: Any) -> Key:
    """Convert a literal from the file to a key; raises ValueError or TypeError if invalid."""
    compile_range, graph_index, compiler_name = key
    start, end = compile_range
    if isinstance(graph_index, bool) or not isinstance(graph_index, int) or graph_index < 0:
        raise ValueError(f"graph index {graph_index!r} is not an int of at least 0")
    if not isinstance(compiler_name, str):
        raise TypeError(f"compiler name {compiler_name!r} is not a str")
    return Range(start, end), graph_index, compiler_name


def is_literal(value: Any) -> bool:
    """Whether ``value``, with the types of all its parts, survives being printed and read."""
    try:
        again = ast.literal_eval(repr(value))
        # unlike ==, repr distinguishes 1 from True and 1.0
        return repr(again) == repr(value) and bool(again == value)
    except Exception:  # of the value's own, such as a repr that raises
        return False


@gc_paused()
def read(path: str) -> Contents:
    """Read the entries of the file ``path``; empty if it does not exist. Runs no code from it."""
    try:
        with open(path, encoding="utf-8") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a foreign file may hold invalid escapes
            text = file.read()
            if (entries := cache_lines.parse(text)) is not None:
                return Contents(entries)
            literal = ast.literal_eval(text)
    except FileNotFoundError:
        return Contents()
    except (OSError, *_NOT_A_LITERAL) as error:
        logger.warning(
            "The compile cache %s cannot be read (%s: %s); everything is compiled anew",
            path,
            type(error).__name__,
            error,
        )
        return Contents(intact=False)
    if not isinstance(literal, dict):
        logger.warning("The compile cache %s holds no dict; everything is compiled anew", path)
        return Contents(intact=False)
    contents = Contents()
    for key, value in literal.items():
        try:
            contents.entries[parse_key(key)] = value
        except (ValueError, TypeError) as error:
            logger.warning("Ignoring the entry %r of the compile cache %s: %s", key, path, error)
            contents.intact = False
    return contents


def _print(entries: Mapping[Key, Any]) -> str:
    # as plain numbers: a Range compares in Python
    plain = [
        (compile_range.start, compile_range.end, graph_index, name, value)
        for (compile_range, graph_index, name), value in entries.items()
    ]
    lines = [
        f"    (({start}, {end}), {graph_index}, {name!r}): {value!r},"
        for start, end, graph_index, name, value in sorted(plain, key=itemgetter(0, 1, 2, 3))
    ]
    return "\n".join(["{", *lines, "}", ""])


def write_atomically(path: str, content: str | bytes) -> None:
    """Write ``content`` to ``path``. A reader sees the old file or the new one, never a part.

    The permissions follow the umask, as for any new file, because others may share the folder.
    """
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f".{name}.{uuid.uuid4().hex}")  # mkstemp creates private files
    try:
        with open(temporary, "xb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise


def _set_aside(path: str) -> None:
    number = 0
    while os.path.exists(aside := f"{path}.unreadable-{number}"):
        number += 1
    os.link(path, aside)
    logger.warning("Kept the compile cache that could not be read in full as %s", aside)


@gc_paused()
def merge(path: str, entries: Mapping[Key, Any]) -> dict[Key, Any]:
    """Merge ``entries`` into the file ``path``, replacing equal keys; returns all entries.

    Raises OSError, including ``filelock.Timeout``, if the file cannot be written.
    """
    with FileLock(f"{path}.lock", timeout=_LOCK_SECONDS):
        present = read(path)
        if not present.intact:
            _set_aside(path)
        present.entries.update(entries)
        write_atomically(path, _print(present.entries))
    return present.entries
