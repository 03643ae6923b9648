"""The form of a report's lines, as a table, and the check of a line against it.

The version counts changes that a reader must know of. Keys may be added without one; a reader
passes over keys that it does not know. A report without ``schema`` is of version 1, which had no
shards and no expectations, and is read as if it said so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.requirements import CONSEQUENCES
from ..core.verdict import Status

VERSION = 2
OLDEST = 1

_TEXT, _NUMBER, _TABLE = (str,), (int, float), (dict,)
_MAYBE_TEXT = (str, type(None))

# kind -> key -> (types, whether each line must have it)
_KEYS: dict[str, dict[str, tuple[tuple[type, ...], bool]]] = {
    "header": {
        "schema": ((int,), False),
        "subject": (_TABLE, True),
        "versions": (_TABLE, True),
        "device": (_TEXT, True),
        "seed": ((int,), True),
        "profiles": ((list,), True),
        "keyword": (_TEXT, True),
        "command": (_TEXT, False),
        "started": (_TEXT, False),
        "families": ((list,), False),
        "ids": ((list,), False),
        "cases": ((list,), False),
        "subject_digest": (_MAYBE_TEXT, False),
        "level": (_MAYBE_TEXT, False),
        "level_digest": (_MAYBE_TEXT, False),
        "shard": (_MAYBE_TEXT, False),
        "expectations": (_MAYBE_TEXT, False),
        "probe": ((list,), False),
    },
    "result": {
        "id": (_TEXT, True),
        "case": (_TEXT, True),
        "status": (_TEXT, True),
        "level": (_TEXT, False),
        "consequence": (_TEXT, False),
        "message": (_TEXT, False),
        "expected": (_TEXT, False),
        "got": (_TEXT, False),
        "program": (_TEXT, False),
        "repro": (_MAYBE_TEXT, False),
        "repro_run": (_MAYBE_TEXT, False),
        "seconds": (_NUMBER, False),
        "how_to_run": (_TEXT, False),
    },
    "footer": {
        "totals": (_TABLE, True),
        "families": (_TABLE, True),
        "results": ((int,), True),
        "verdict": (_TEXT, True),
        "exit_status": ((int,), True),
        "seconds": (_NUMBER, False),
        "unmatched": ((list,), False),
        "level_result": (_MAYBE_TEXT, False),
    },
}


def check_line(line: object) -> Mapping[str, Any]:
    """``line``, found to be one of a report; ValueError says what is wrong with it."""
    if not isinstance(line, dict):
        raise ValueError(f"the line is a {type(line).__name__}, expected an object")
    kind = line.get("kind")
    keys = _KEYS.get(kind) if isinstance(kind, str) else None
    if keys is None:
        raise ValueError(f"kind is {kind!r}, expected one of {', '.join(_KEYS)}")
    if kind == "header":
        _check_version(line.get("schema", OLDEST))
    for key, (types, needed) in keys.items():
        if key not in line:
            if needed:
                raise ValueError(f"the {kind} has no {key}")
            continue
        value = line[key]
        # A bool is an int to Python and none to JSON.
        if not isinstance(value, types) or isinstance(value, bool):
            known = " or ".join("null" if t is type(None) else t.__name__ for t in types)
            raise ValueError(f"{key} of the {kind} is a {type(value).__name__}, expected {known}")
    if kind == "header" and not {"name", "spec", "version"} <= set(line["subject"]):
        raise ValueError("subject of the header lacks a key; expected name, spec and version")
    if kind == "result":
        Status(line["status"])
        if line.get("level", "MUST") not in ("MUST", "SHOULD"):
            raise ValueError(f"level is {line['level']!r}, expected MUST or SHOULD")
        if line.get("consequence") and line["consequence"] not in CONSEQUENCES:
            raise ValueError(
                f"consequence is {line['consequence']!r}, expected one of {', '.join(CONSEQUENCES)}"
            )
    return line


def _check_version(version: object) -> None:
    if not isinstance(version, int) or isinstance(version, bool) or version < OLDEST:
        raise ValueError(f"schema is {version!r}, expected a version number of at least {OLDEST}")
    if version > VERSION:
        raise ValueError(
            f"schema {version} is newer than this release, which reads up to {VERSION}; upgrade "
            "piecewise-conformance"
        )
