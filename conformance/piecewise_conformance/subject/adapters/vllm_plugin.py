"""Makes the harness's platform a platform plug-in of vLLM, in this process only.

vLLM finds plug-ins through the entry points of installed distributions. An entry point in this
project's own metadata would reach every vLLM of whoever installs the harness, so the adapter adds
one while the process runs instead: a distribution that exists only in memory. This module does not
import vLLM, and ``activate`` must be called before anything asks vLLM for its current platform.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib.metadata import Distribution, DistributionFinder
from pathlib import Path
from types import ModuleType
from typing import Any

GROUP = "vllm.platform_plugins"
NAME = "piecewise_conformance"
# Not the name of the installed distribution: of two with one name, importlib.metadata reads one.
_DISTRIBUTION = "piecewise-conformance-vllm-platform"
_FILES = {
    "METADATA": f"Metadata-Version: 2.1\nName: {_DISTRIBUTION}\nVersion: 0\n",
    "entry_points.txt": f"[{GROUP}]\n{NAME} = {__package__}.vllm_platform:register\n",
}


class _InMemory(Distribution):
    """A distribution that consists of its metadata."""

    def read_text(self, filename: str) -> str | None:
        """The text of a metadata file, or None if there is no such file."""
        return _FILES.get(filename)

    def locate_file(self, path: Any) -> Path:
        """Where a file of the distribution would be; importlib.metadata requires the method."""
        return Path(__file__).parent / path


class _Finder(DistributionFinder):
    """Finds the distribution in memory, and no modules."""

    def find_spec(self, fullname: str, path: Any, target: ModuleType | None = None) -> None:
        """Leave every import to the other finders."""

    def find_distributions(
        self, context: DistributionFinder.Context | None = None
    ) -> Iterable[Distribution]:
        """The distribution, if ``context`` asks for all distributions or for this one."""
        name = None if context is None else context.name
        return [_InMemory()] if name in (None, _DISTRIBUTION) else []


def activate() -> None:
    """Let ``importlib.metadata`` report the platform's entry point from now on."""
    if not any(isinstance(each, _Finder) for each in sys.meta_path):
        sys.meta_path.append(_Finder())
