"""The one exception of loading a subject, and the lists of names in its messages."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class LoadError(Exception):
    """The subject cannot be loaded; the message says why and what to do."""


def listed(names: Iterable[str]) -> str:
    """The first of ``names``, in alphabetical order."""
    found = sorted(names)
    return (", ".join(found[:20]) + (", ..." if len(found) > 20 else "")) or "nothing"


def near(name: str, names: Iterable[str]) -> str:
    """A hint at those of ``names`` that resemble ``name``; empty if none does."""
    close = difflib.get_close_matches(name, list(names), n=3)
    return f"; did you mean {' or '.join(close)}?" if close else ""
