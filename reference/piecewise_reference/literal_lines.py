"""Read the cache file as this project writes it, faster than Python literals can be read.

``ast.literal_eval`` builds a syntax tree of the whole file. What :mod:`.cache_file` writes needs
none: one entry a line, of numbers and of texts without a quote, a backslash or a control character,
each of which stands for itself. A file with one line of another form is none of this module's: it
is then read as a literal, whole. Which way it is read makes no difference to what is read.
"""

from __future__ import annotations

import re
from typing import Any

_NUMBER = r"(0|[1-9][0-9]{0,17})"
_TEXT = r"'([^'\\\x00-\x1f]*)'"
_LINE = re.compile(
    rf"    \(\({_NUMBER}, {_NUMBER}\), {_NUMBER}, {_TEXT}\): "
    rf"\{{'graph_handle': (?:{_TEXT}|\({_TEXT}, {_TEXT}\)), 'cache_key': {_TEXT}\}},"
)


def parse(text: str) -> dict[Any, Any] | None:
    """The dict that the literal ``text`` is, or None if ``text`` must be read by other means."""
    first, *lines, brace, end = text.split("\n") if text.count("\n") > 1 else ("", "", "")
    if (first, brace, end) != ("{", "}", ""):
        return None
    literal = {}
    for line in lines:
        if (match := _LINE.fullmatch(line)) is None:
            return None
        start, stop, index, name, handle, key, path, cache_key = match.groups()
        literal[(int(start), int(stop)), int(index), name] = {
            "graph_handle": (key, path) if handle is None else handle,
            "cache_key": cache_key,
        }
    return literal
