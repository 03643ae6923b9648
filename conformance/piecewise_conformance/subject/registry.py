"""The entry points that name subjects, and those that a checkout knows without an installation.

Two groups, in which any distribution may register:

* ``piecewise_conformance.backends`` – NAME: a subject, for ``--backend NAME``.
* ``piecewise_conformance.schemes`` – KIND: a function from REST to a Subject, for
  ``--backend KIND:REST``. It raises LoadError, or any exception, if there is no such subject.
"""

from __future__ import annotations

import importlib.metadata
from importlib.metadata import EntryPoint

BACKENDS = "piecewise_conformance.backends"
SCHEMES = "piecewise_conformance.schemes"

# These work in a checkout that is not installed as well.
_BUILT_IN = {
    BACKENDS: {"reference": "piecewise_conformance.subject.adapters.reference:subject"},
    SCHEMES: {"dynamo": "piecewise_conformance.subject.adapters.dynamo:load"},
}


def registered(group: str) -> dict[str, EntryPoint]:
    """The entry points of ``group`` by name, the built-in ones included."""
    built_in = _BUILT_IN.get(group, {})
    found = {name: EntryPoint(name, value, group) for name, value in built_in.items()}
    found.update({each.name: each for each in importlib.metadata.entry_points(group=group)})
    return found
