"""An environment for each torch, and one on top of it for each peer that brings its own packages.

An environment of a peer sees the packages of the torch's environment, so that a CUDA build of
several gigabytes is installed once for a version.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement

from .processes import clean_environment
from .sources import SourceError, last_error

NIGHTLY = "nightly"
_READY = ".ready.json"
_EXTRAS = ("models", "triton")
_SELF = "piecewise-conformance"
_LIST_REQUIREMENTS = (
    f"import importlib.metadata as m, json; print(json.dumps(m.requires({_SELF!r}) or []))"
)


@dataclass(frozen=True)
class Installing:
    """How environments are made. ``pip`` is passed on to every installation of torch."""

    folder: Path
    project: str  # a path, or a requirement
    pip: tuple[str, ...] = ()
    peer_requirements: Path | None = None  # what imports of peers ask for


def label(torch: str) -> str:
    """A short name of the torch for folders and headings."""
    path = Path(torch)
    if is_interpreter(torch):
        parts = path.absolute().parts
        text = parts[-3] if parts[-2] == "bin" else path.name
    else:
        text = path.name.removesuffix(".whl") if path.suffix == ".whl" else torch
    return re.sub(r"[^\w.+-]", "_", text)


def is_interpreter(torch: str) -> bool:
    """Whether ``torch`` is an interpreter that has torch and this project already."""
    path = Path(torch)
    return os.sep in torch and path.suffix != ".whl" and os.access(path, os.X_OK)


def requirement_of(torch: str) -> list[str]:
    """What pip is asked for: a version, a wheel, or the newest nightly."""
    if torch == NIGHTLY:
        return ["--pre", "torch"]
    return [torch if Path(torch).suffix == ".whl" else f"torch=={torch}"]


def prepare(torch: str, peer: str, how: Installing) -> Path:
    """The interpreter of the environment for ``torch`` and, if not empty, the requirement ``peer``.

    An environment that is ready is used again. Raises SourceError if it cannot be made.
    """
    if is_interpreter(torch) and not peer:
        return Path(torch).absolute()
    base = _base(torch, how) if not is_interpreter(torch) else Path(torch).absolute()
    if not peer:
        return base
    folder = how.folder / f"{label(torch)}-{label(peer.partition('=')[0])}"
    wanted = [torch, peer, str(how.peer_requirements)]
    if _is_ready(folder, wanted):
        return _python(folder)
    python = _fresh(folder, base)
    (_site_packages(python) / "base.pth").write_text(f"{_site_packages(base)}\n")
    _pip(python, "--no-deps", peer)
    if how.peer_requirements:
        # a peer names the triton of the torch that it was released for; this torch brings its own
        lines = how.peer_requirements.read_text(encoding="utf-8").splitlines()
        needed = [each for each in lines if not re.match(r"triton\b", each)]
        listed = folder / "peer-requirements.txt"
        listed.write_text("\n".join(needed))
        version = _output(base, "import torch; print(torch.__version__)")
        _pip(python, *how.pip, "-r", str(listed), f"torch=={version}")
    _mark_ready(folder, wanted)
    return python


def prune(torch: str, how: Installing) -> None:
    """Delete the environments of ``torch``; an interpreter that was given stays."""
    if not how.folder.is_dir():
        return
    name = label(torch)
    for folder in how.folder.iterdir():
        own = folder.name == name and not is_interpreter(torch)
        if own or folder.name.startswith(f"{name}-"):
            shutil.rmtree(folder, ignore_errors=True)


def _base(torch: str, how: Installing) -> Path:
    folder = how.folder / label(torch)
    wanted = [torch, how.project, *how.pip]
    if _is_ready(folder, wanted):
        return _python(folder)
    python = _fresh(folder, Path(sys.executable))
    _pip(python, *how.pip, *requirement_of(torch))
    # without its dependencies: a torch outside of the declared range is to be tested as well
    _pip(python, "--no-deps", how.project)
    version = _output(python, "import torch; print(torch.__version__)")
    listed = json.loads(_output(python, _LIST_REQUIREMENTS))
    _pip(python, *how.pip, f"torch=={version}", *_needed(listed))
    _mark_ready(folder, wanted)
    return python


def _needed(listed: Sequence[str]) -> list[str]:
    """The requirements of the project but torch, with those of its extras for a run."""
    found = []
    for text in listed:
        each = Requirement(text)
        extras = [{"extra": extra} for extra in ("", *_EXTRAS)]
        if each.name != "torch" and (
            each.marker is None or any(each.marker.evaluate(extra) for extra in extras)
        ):
            found.append(f"{each.name}{each.specifier}")
    return found


def _fresh(folder: Path, base: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    _checked([str(base), "-m", "venv", str(folder)], f"no environment {folder}")
    return _python(folder)


def _python(folder: Path) -> Path:
    return folder / "bin" / "python"


def _site_packages(python: Path) -> Path:
    return Path(_output(python, "import sysconfig; print(sysconfig.get_path('purelib'))"))


def _pip(python: Path, *arguments: str) -> None:
    command = [str(python), "-m", "pip", "install", "--disable-pip-version-check", *arguments]
    _checked(command, f"pip install {' '.join(arguments)}")


def _output(python: Path, code: str) -> str:
    return _checked([str(python), "-c", code], "cannot be imported").splitlines()[-1]


def _checked(command: list[str], what: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=clean_environment())
    except OSError as error:
        raise SourceError(f"{what}: {error.strerror}") from error
    if done.returncode != 0:
        raise SourceError(f"{what}: {last_error(done.stderr)}")
    return done.stdout


def _is_ready(folder: Path, wanted: list[str]) -> bool:
    try:
        return bool(json.loads((folder / _READY).read_text()) == wanted)
    except (OSError, ValueError):
        return False


def _mark_ready(folder: Path, wanted: list[str]) -> None:
    (folder / _READY).write_text(json.dumps(wanted))
