"""Read the format in which this project writes the cache file, faster than ``ast.literal_eval``.

``ast.literal_eval`` builds a syntax tree of the whole file. The format of :mod:`.cache_file` does
not need one: each line has one entry, consisting of numbers and of strings without quotes,
backslashes or control characters. If any line has another format, the whole file is read as a
literal instead. The result is the same either way.
"""

from __future__ import annotations

import re
from typing import Any

from ..ranges import Range

_NUMBER = r"(0|[1-9][0-9]{0,17})"
_TEXT = r"'([^'\\\x00-\x1f]*)'"
_NOT_EMPTY = r"'([^'\\\x00-\x1f]+)'"  # an empty group means that there is a pair
_LINE = re.compile(
    rf"^    \(\({_NUMBER}, {_NUMBER}\), {_NUMBER}, {_TEXT}\): "
    rf"\{{'graph_handle': (?:{_NOT_EMPTY}|\({_TEXT}, {_TEXT}\)), 'cache_key': {_TEXT}\}},$",
    re.MULTILINE,
)


class _Ranges(dict[tuple[str, str], Range]):
    """Ranges by their two numbers as text, because most entries of a file repeat a few."""

    def __missing__(self, ends: tuple[str, str]) -> Range:
        self[ends] = made = Range(*map(int, ends))
        return made


def parse(text: str) -> dict[tuple[Range, int, str], Any] | None:
    """Parse the entries of ``text``; None if it must be read as a literal."""
    if not (text.startswith("{\n") and text.endswith("\n}\n")):
        return None
    found = _LINE.findall(text)  # one call for the whole file
    if len(found) != text.count("\n") - 2:
        return None
    ranges = _Ranges()
    try:
        return {
            (ranges[start, end], int(index), name): {
                "graph_handle": handle or (key, path),
                "cache_key": cache_key,
            }
            for start, end, index, name, handle, key, path, cache_key in found
        }
    except ValueError:  # not a range: the literal reader reports it
        return None
