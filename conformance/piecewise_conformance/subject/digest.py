"""A digest of the files that a subject consists of, by which two versions of it are told apart.

The files are read and never run: what a function imports late counts as well. Which they are:

* the file of the adapter, or of the module that ``--backend`` names, with the whole package that
  it belongs to;
* each module and package that those import by an absolute name, unless it is of Python, torch, or
  this harness: the versions in the header stand for these.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.machinery
import importlib.util
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from .subject import Subject

_OURS = ("piecewise_conformance", "piecewise_fixtures")
# Big packages whose versions say all, and that a subject uses rather than consists of.
_LIBRARIES = frozenset(
    (
        "torch",
        "triton",
        "numpy",
        "pytest",
        "hypothesis",
        "transformers",
        "setuptools",
        *_OURS,
    )
)


def digest_of(subject: Subject) -> str | None:
    """The digest, the same in every checkout; None for a subject without files of its own."""
    named = subject.file or subject.adapter
    files = _files(Path(named)) if named else {}
    if not files:
        return None
    found = hashlib.sha256()
    for name, path in sorted(files.items()):
        found.update(f"{name}\0".encode())
        found.update(hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()[:16]


def _files(adapter: Path) -> dict[str, Path]:
    """The files by names that do not depend on where they lie."""
    adapter = adapter.resolve()
    if not adapter.is_file():
        return {}
    package = _package_of(adapter)
    found = {adapter.name: adapter}
    if package is not None and package.name not in _OURS:
        found.update(_in_package(package))
    pending = sorted(_imported(found.values()))
    seen: set[str] = set()
    while pending:
        name = pending.pop()
        if name in seen or name in _LIBRARIES or name in sys.stdlib_module_names:
            continue
        seen.add(name)
        own = _of_module(name, adapter.parent)
        found.update(own)
        # What an installed package imports has a version, as that package itself has.
        pending += sorted(_imported(p for p in own.values() if "site-packages" not in p.parts))
    return found


def _package_of(path: Path) -> Path | None:
    """The folder of the outermost package that the module at ``path`` belongs to."""
    package = None
    folder = path.parent
    while (folder / "__init__.py").is_file():
        package, folder = folder, folder.parent
    return package


def _in_package(folder: Path) -> dict[str, Path]:
    return {p.relative_to(folder.parent).as_posix(): p for p in folder.rglob("*.py")}


def _of_module(name: str, beside: Path) -> dict[str, Path]:
    """The files of a top-level module or package; none if it is not found or not of Python."""
    try:
        found = importlib.machinery.PathFinder.find_spec(name, [str(beside)])
        found = found or importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return {}
    if found is None:
        return {}
    if found.submodule_search_locations:
        folders = [Path(each) for each in found.submodule_search_locations]
        return {key: path for each in folders for key, path in _in_package(each).items()}
    if found.origin and found.origin.endswith(".py"):
        return {f"{name}.py": Path(found.origin)}
    return {}


def _imported(paths: Iterable[Path]) -> set[str]:
    """The top-level names that the files import by absolute names."""
    return {name for path in paths for name in _names(path)}


def _names(path: Path) -> Iterator[str]:
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (each.name.partition(".")[0] for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]
