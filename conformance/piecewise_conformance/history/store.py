"""The folder of a history: JSON Lines, one file for each day.

Two writers on one machine take turns by a lock. Two writers in two clones of the branch that holds
the folder append to the same file: ``.gitattributes`` has git keep the lines of both, the order of
lines means nothing, and a line that comes twice is read once.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable
from pathlib import Path

from filelock import FileLock

from .entry import Entry, HistoryError, from_line

ATTRIBUTES = ".gitattributes"
IGNORE = ".gitignore"
_LOCK = ".lock"
_FILES = {ATTRIBUTES: "*.jsonl merge=union text eol=lf\n", IGNORE: f"{_LOCK}\n"}


def append(folder: Path, entries: Iterable[Entry]) -> int:
    """Append ``entries`` to the history in ``folder``, which is made if needed.

    Entries that the history has already are left out. Returns how many were written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = 0
    with FileLock(folder / _LOCK):
        for name, text in _FILES.items():
            if not (folder / name).exists():
                (folder / name).write_text(text, encoding="utf-8")
        for entry in entries:
            written += _append(folder / f"{entry.day.isoformat()}.jsonl", entry)
    return written


def _append(path: Path, entry: Entry) -> bool:
    before = path.read_bytes() if path.exists() else b""
    line = entry.to_line().encode()
    if line in before.splitlines(keepends=True):
        return False
    # A writer that was killed leaves a part of a line, which must not swallow this one.
    start = b"" if not before or before.endswith(b"\n") else b"\n"
    with path.open("ab") as file:
        file.write(start + line)
        file.flush()
        os.fsync(file.fileno())
    return True


def read(folder: Path) -> list[Entry]:
    """The entries in ``folder``, by the time they started; a line that is not one is warned of."""
    if not folder.is_dir():
        raise HistoryError(f"{folder} is not a folder")
    found: dict[str, Entry] = {}
    for path in sorted(folder.glob("*.jsonl")):
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                entry = from_line(line)
            except ValueError as error:
                warnings.warn(f"{path}:{number} is left out: {error}", stacklevel=2)
            else:
                found[entry.id] = entry
    return sorted(found.values(), key=lambda each: (each.started, each.id))
