"""What the seed promises of a cache on the disk: folders, file names, and a literal in a text file.

Only tests of the ability ``seed-layout`` use this module. Elsewhere a cache is opaque.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

from ...core.verdict import Violation
from ...subject.subject import Subject

ABILITY = "seed-layout"
NOTES = ("computation_graph.py", "cache_key_factors.json")
# All that literal_eval raises for what is not a literal, and decode for what is not text.
NOT_A_LITERAL = (ValueError, SyntaxError, TypeError, MemoryError, RecursionError)


def cache_file(subject: Subject) -> str:
    """The name of the cache file: the seed's, unless the subject names another.

    Raises Unsupported for a subject without the seed's layout.
    """
    subject.need(ABILITY)
    return str(subject.surface.get("cache_file", "vllm_compile_cache.py"))


def read_file(subject: Subject, folder: Path) -> str:
    """The text of the cache file in ``folder``, which must be there."""
    path = folder / cache_file(subject)
    if not path.is_file():
        names = sorted(each.name for each in folder.iterdir())
        raise Violation(f"the cache folder has no {path.name}", got=str(names))
    try:
        return path.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise Violation("the cache file is not UTF-8 text", got=str(error)) from None


def read_literal(subject: Subject, folder: Path) -> dict[Any, Any]:
    """The dict that the cache file in ``folder`` is."""
    text = read_file(subject, folder)
    try:
        literal = ast.literal_eval(text)
    except NOT_A_LITERAL as error:
        raise Violation(
            "the cache file is not a Python literal",
            expected="a dict literal",
            got=f"{type(error).__name__}: {error}"[:300],
        ) from None
    if not isinstance(literal, dict):
        raise Violation("the cache file is not a dict", got=text[:300])
    return literal


def write_file(subject: Subject, folder: Path, content: str | bytes) -> None:
    """Let the cache file in ``folder`` be ``content``, as a new file."""
    path = folder / cache_file(subject)
    path.unlink(missing_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def cache_folders(subject: Subject, root: Path) -> list[Path]:
    """The folders below ``root`` that caches lie in, without those that lie in such a folder.

    They are known by the cache file, or else by the notes for people, or else by any file: other
    files may lie anywhere, such as a lock beside a folder or a mark at the root.
    """
    name = cache_file(subject)
    files = [path for path in root.rglob("*") if path.is_file()]
    of_a_cache = [path for path in files if path.name == name]
    holding = {path.parent for path in of_a_cache or [p for p in files if p.name in NOTES] or files}
    return sorted(each for each in holding if not holding & set(each.parents))
