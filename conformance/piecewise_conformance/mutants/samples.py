"""Which tests are quick, as of when the matrix was last accepted: samples are taken of them.

A sample must pass whichever it is. What is kept saves time and decides nothing, and is kept so that
each run takes the same.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from . import FOLDER

FILE = FOLDER / "samples.json"
_OF_EACH = 5  # tests of a requirement: not every mutant is reached by the quickest


def load(path: Path = FILE) -> dict[str, int]:
    """The milliseconds of each test that is kept."""
    kept: dict[str, dict[str, int]] = json.loads(path.read_text(encoding="utf-8"))
    return {test: each for tests in kept.values() for test, each in tests.items()}


def keep(baseline: Iterable[dict[str, Any]], path: Path = FILE) -> None:
    """Keep the quickest of each requirement, of a run of the whole suite on the reference."""
    quick: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for run in baseline:
        if run["status"] == "pass" and not run["slow"]:
            quick[run["id"]].append((round(run["seconds"] * 1000), run["test"]))
    lines = [
        f"{json.dumps(id)}: {json.dumps({test: ms for ms, test in sorted(tests)[:_OF_EACH]})}"
        for id, tests in sorted(quick.items())
    ]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
