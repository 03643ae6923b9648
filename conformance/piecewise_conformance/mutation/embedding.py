"""What a repro script embeds of a mutant, so that it needs nothing of this package."""

from __future__ import annotations

from .catalogue import catalogue
from .planting import patched_sources


def sources(name: str) -> dict[str, str]:
    """The files of the reference that the mutant ``name`` changes, with their new text.

    The entry-point group ``piecewise_conformance.scheme_sources`` names this function.
    """
    return patched_sources(catalogue()[name])
