"""Read the cache file as this project writes it, faster than Python literals can be read.

``ast.literal_eval`` builds a syntax tree of the whole file. What :mod:`.cache_file` writes needs
none: one entry a line, of numbers and of texts without a quote, a backslash or a control character,
each of which stands for itself. A file with one line of another form is none of this module's: it
is then read as a literal, whole. Which way it is read makes no difference to what is read.
"""

from __future__ import annotations

import re
from typing import Any

from ..ranges import Range

_NUMBER = r"(0|[1-9][0-9]{0,17})"
_TEXT = r"'([^'\\\x00-\x1f]*)'"
_NOT_EMPTY = r"'([^'\\\x00-\x1f]+)'"  # so that an empty group says that there is a pair
_LINE = re.compile(
    rf"^    \(\({_NUMBER}, {_NUMBER}\), {_NUMBER}, {_TEXT}\): "
    rf"\{{'graph_handle': (?:{_NOT_EMPTY}|\({_TEXT}, {_TEXT}\)), 'cache_key': {_TEXT}\}},$",
    re.MULTILINE,
)


class _Ranges(dict[tuple[str, str], Range]):
    """The range of two numbers as text: most entries of a file are for one of a few."""

    def __missing__(self, ends: tuple[str, str]) -> Range:
        self[ends] = made = Range(*map(int, ends))
        return made


def parse(text: str) -> dict[tuple[Range, int, str], Any] | None:
    """The entries of the file ``text``, or None if it must be read by other means."""
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
    except ValueError:  # one is no range, of which the other way tells
        return None
