"""Which tests are quick, as of when they were last measured (``--measure``): samples are of them.

A sample must pass whichever it is. What is kept saves time and decides nothing, and is kept so that
each run takes the same. The first run of a test captures its programs, which later ones find: what
counts is the quickest.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from . import FOLDER

FILE = FOLDER / "samples.json"
_OF_EACH = 8  # tests of a requirement: not every mutant is reached by the quickest


def load(path: Path = FILE) -> dict[str, int]:
    """The milliseconds of each test that is kept."""
    kept: dict[str, dict[str, int]] = json.loads(path.read_text(encoding="utf-8"))
    return {test: each for tests in kept.values() for test, each in tests.items()}


def keep(baseline: Iterable[dict[str, Any]], path: Path = FILE) -> None:
    """Keep the quickest of each requirement, of runs of the whole suite on the reference."""
    quick: dict[str, dict[str, int]] = defaultdict(dict)
    for run in baseline:
        if run["status"] == "pass" and not run["slow"]:
            milliseconds = round(run["seconds"] * 1000)
            tests = quick[run["id"]]
            tests[run["test"]] = min(tests.get(run["test"], milliseconds), milliseconds)
    lines = []
    for id, tests in sorted(quick.items()):
        first = sorted(tests, key=lambda test: (tests[test], test))[:_OF_EACH]
        lines.append(f"{json.dumps(id)}: {json.dumps({test: tests[test] for test in first})}")
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
