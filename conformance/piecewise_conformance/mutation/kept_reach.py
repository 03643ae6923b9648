"""What each test reaches, kept from one run to the next: to find it out takes most of a short run.

A test reaches the same statements for as long as its own file, the reference, the fixtures and the
harness are what they were; then what was found holds again. Only runs of a few mutants use what is
kept (``--only``); the whole matrix finds out anew, and keeps it.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..core import environment
from ..core.suite_scan import SUITE_FOLDER
from .planting import folder_of

Runs = list[dict[str, Any]]

_HARNESS = Path(__file__).parents[1]
_PACKAGES = [_HARNESS, folder_of("piecewise_reference"), folder_of("piecewise_fixtures")]


class KeptReach:
    """The runs of the baseline by file of the suite, for the files that are as they were."""

    def __init__(self) -> None:
        everything = [path for root in _PACKAGES for path in sorted(root.rglob("*.py"))]
        shared = [path for path in everything if SUITE_FOLDER not in path.parents]
        about = json.dumps([environment.versions(), os.environ.get(environment.WITHOUT)])
        name = _digest(shared, about)
        self.path = Path(tempfile.gettempdir()) / f"piecewise-reach-{os.getuid()}-{name}.json"
        self._now = {path.name: _digest([path]) for path in SUITE_FOLDER.glob("test_*.py")}
        self._kept: dict[str, Any] = {}
        with suppress(OSError, ValueError):
            self._kept = json.loads(self.path.read_text(encoding="utf-8"))

    def fresh(self) -> dict[str, Runs]:
        """What is known of files that are as they were, by file."""
        return {
            name: kept["runs"]
            for name, kept in self._kept.items()
            if self._now.get(name) == kept["digest"]
        }

    def keep(self, runs: Runs) -> None:
        """Add what a baseline found in which all tests passed."""
        of_file: dict[str, Runs] = defaultdict(list)
        for run in runs:
            of_file[run["test"].partition("::")[0]].append(run)
        for name, found in of_file.items():
            if name in self._now:
                self._kept[name] = {"digest": self._now[name], "runs": found}
        temporary = self.path.with_suffix(f".{os.getpid()}")
        with suppress(OSError):
            temporary.write_text(json.dumps(self._kept), encoding="utf-8")
            temporary.replace(self.path)


def _digest(paths: Iterable[Path], text: str = "") -> str:
    content = hashlib.sha256(text.encode())
    for path in paths:
        content.update(path.name.encode())
        content.update(hashlib.sha256(path.read_bytes()).digest())
    return content.hexdigest()[:16]
