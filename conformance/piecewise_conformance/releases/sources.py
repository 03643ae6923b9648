"""The Python files of a torch: from a wheel, a version that pip downloads, or a folder."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from packaging.version import InvalidVersion, Version

from .processes import clean_environment

# A macOS wheel holds the same Python files as the CUDA wheel, which is ten times as large.
_SMALL_WHEELS = ("macosx_14_0_arm64", "macosx_11_0_arm64")
_VERSION_FILE = "torch/version.py"


class SourceError(Exception):
    """A torch whose source cannot be had; the message says why."""


@dataclass(frozen=True)
class Torch:
    """The source of one torch. ``path`` is a wheel, or a folder that holds ``torch/``."""

    path: Path

    @cached_property
    def _names(self) -> frozenset[str]:
        if self._wheel is not None:
            return frozenset(self._wheel.namelist())
        found = (self.path / "torch").rglob("*.py")
        return frozenset(each.relative_to(self.path).as_posix() for each in found)

    @cached_property
    def _wheel(self) -> zipfile.ZipFile | None:
        return None if self.path.is_dir() else zipfile.ZipFile(self.path)

    def file_of(self, module: str) -> str | None:
        """The path of ``module`` inside of the wheel, or None if there is no such module."""
        base = module.replace(".", "/")
        return next((p for p in (f"{base}.py", f"{base}/__init__.py") if p in self._names), None)

    def read(self, name: str) -> str:
        """The text of a file."""
        if self._wheel is not None:
            return self._wheel.read(name).decode("utf-8", "replace")
        return (self.path / name).read_text(encoding="utf-8", errors="replace")

    @cached_property
    def version(self) -> str:
        """The version that the torch reports."""
        return self._from_version_file("__version__")

    @cached_property
    def git_version(self) -> str:
        """The commit that the torch was built from; empty if it does not say."""
        return self._from_version_file("git_version")

    def _from_version_file(self, name: str) -> str:
        if _VERSION_FILE not in self._names:
            return ""
        found = re.search(rf"^{name}\b[^=]*= *['\"](.*)['\"]", self.read(_VERSION_FILE), re.M)
        return found[1] if found else ""


@dataclass(frozen=True)
class Installed:
    """The torch of an interpreter."""

    version: str
    git_version: str
    folder: str  # that holds torch/


_DESCRIBE = (
    "import json, os, torch; print(json.dumps([torch.__version__, torch.version.git_version, "
    "os.path.dirname(os.path.dirname(torch.__file__))]))"
)


def describe(python: Path) -> Installed:
    """Import the torch of the interpreter ``python``; SourceError says why it cannot be."""
    try:
        done = subprocess.run(
            [str(python), "-c", _DESCRIBE], capture_output=True, text=True, env=clean_environment()
        )
    except OSError as error:
        raise SourceError(f"{python} does not run: {error.strerror}") from error
    if done.returncode != 0:
        raise SourceError(f"{python} cannot import torch: {last_error(done.stderr)}")
    version, git_version, folder = json.loads(done.stdout.splitlines()[-1])
    return Installed(version, git_version or "", folder)


def open_torch(given: str, folder: Path, pip: Sequence[str] = ()) -> Torch:
    """The torch that ``given`` names: a wheel, a folder with ``torch/`` inside, or a version.

    A version is downloaded into ``folder``, unless its wheel is there already; ``pip`` holds
    further arguments for pip, such as ``--index-url``. Raises SourceError.
    """
    path = Path(given)
    if path.is_dir() and (path / "torch").is_dir():
        return Torch(path)
    if path.suffix == ".whl" and path.is_file():
        if not zipfile.is_zipfile(path):
            raise SourceError(f"{given} is not a wheel: it is not a zip archive")
        return Torch(path)
    try:
        Version(given)
    except InvalidVersion:
        raise SourceError(
            f"{given!r} is neither a wheel, nor a folder that holds torch/, nor a version"
        ) from None
    return Torch(_wheel_in(folder, given) or _download(given, folder, pip))


def _wheel_in(folder: Path, version: str) -> Path | None:
    wanted = Version(version)
    for path in sorted(folder.glob("torch-*.whl")):
        has = Version(path.name.split("-")[1])
        if has == wanted or (wanted.local is None and has.public == wanted.public):
            return path
    return None


def _download(version: str, folder: Path, pip: Sequence[str]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    base = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    base += ["--dest", str(folder), *pip, f"torch=={version}"]
    small = [f"--platform={each}" for each in _SMALL_WHEELS]
    said = ""
    for platform in (small, []):
        done = subprocess.run(
            [*base, *platform],
            capture_output=True,
            text=True,
            env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
        )
        if done.returncode == 0 and (found := _wheel_in(folder, version)):
            return found
        said = last_error(done.stderr)
    raise SourceError(f"pip cannot download torch {version}: {said}")


def last_error(text: str) -> str:
    """The line of pip's output that says what went wrong."""
    lines = [each.strip() for each in text.splitlines() if each.strip()]
    errors = [each for each in lines if each.lower().startswith("error")]
    return (errors or lines or ["no message"])[-1]
