"""Which files of the harness a piece of code needs, found by reading and not by running it.

An import counts wherever it stands, for a function may import late; so does a text that names a
module, for a class may be given by its qualified name, and a process be started by one.
"""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

CONFORMANCE, FIXTURES, REFERENCE = (
    "piecewise_conformance",
    "piecewise_fixtures",
    "piecewise_reference",
)
PACKAGES = (CONFORMANCE, FIXTURES, REFERENCE)
SUITE = f"{CONFORMANCE}.suite"

# The names that tests use of pytest come from here instead.
STAND_IN = f"{CONFORMANCE}.repros.stand_in"
_PYTEST = re.compile(r"^import pytest$", re.M)


@cache
def _root(package: str) -> Path:
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError(f"no package {package!r}", name=package)
    return Path(next(iter(found.submodule_search_locations)))


@cache
def file_of(module: str) -> Path | None:
    """The file of ``module``, a folder for a package without a file; None if there is no such."""
    package, *parts = module.split(".")
    if package not in PACKAGES:
        return None
    path = _root(package).joinpath(*parts)
    for each in (path / "__init__.py", path.with_name(f"{path.name}.py")):
        if each.is_file():
            return each
    return path if path.is_dir() else None


def without_pytest(source: str) -> str:
    """``source`` with the stand-in in pytest's place."""
    package, _, name = STAND_IN.rpartition(".")
    return _PYTEST.sub(f"from {package} import {name} as pytest", source)


def needed(
    sources: Iterable[str], modules: Iterable[str], *, without: Iterable[str] = ()
) -> dict[str, str]:
    """The files that ``sources`` and ``modules`` need, themselves included, by relative path.

    ``without`` are modules, and packages with all that they hold, that stay out.
    """
    left_out = tuple(without)
    pending = [*modules, *(name for source in sources for name in _named(source, ""))]
    seen: set[str] = set()
    files: dict[str, str] = {}
    while pending:
        module = pending.pop()
        path = None if _is_in(module, left_out) else file_of(module)
        if module in seen or path is None:
            continue
        seen.add(module)
        parent = module.rpartition(".")[0]
        pending += [parent] if parent else []
        inside = module if path.name == "__init__.py" or path.is_dir() else parent
        folder = inside.replace(".", "/")
        # A package, however it came, is one that no folder further on adds modules to.
        files.setdefault(f"{folder}/__init__.py", "")
        if path.is_dir():
            continue
        own, names = _read(path, inside)
        files.update({f"{folder}/{name}": text for name, text in own.items()})
        pending += names
    return dict(sorted(files.items()))


@cache
def _read(path: Path, package: str) -> tuple[dict[str, str], list[str]]:
    """The file ``path`` of ``package`` with the data that it reads, and the names in it."""
    source = without_pytest(path.read_text(encoding="utf-8"))
    files = {path.name: source}
    if "__file__" in source:  # it reads data next to it, or in a folder there that it names
        folders = [each for each in path.parent.iterdir() if f'"{each.name}"' in source]
        for folder in (path.parent, *folders):
            for data in (*folder.glob("*.json"), *folder.glob("*.toml")):
                name = data.relative_to(path.parent).as_posix()
                files[name] = data.read_text(encoding="utf-8")
    return files, _named(source, package)


def _is_in(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == each or module.startswith(f"{each}.") for each in packages)


_MODULE = re.compile(rf"^(?:{'|'.join(PACKAGES)})(?:\.\w+)+")
_TESTS = re.compile(r"^test_\w+$")


def _named(source: str, package: str) -> list[str]:
    """Every name in ``source``, of a module of ``package``, that may be of a module of ours."""
    found: list[str] = []
    for node in _executed(ast.parse(source)):
        found += _imported(node, package)
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if match := _MODULE.match(node.value):
                found += _prefixes(match[0])
            elif _TESTS.match(node.value):
                found.append(f"{SUITE}.{node.value}")
    return found


def _executed(tree: ast.AST) -> Iterator[ast.AST]:
    """The nodes of ``tree`` without what stands there for type checkers alone."""
    pending = [tree]
    while pending:
        node = pending.pop()
        if (
            isinstance(node, ast.If)
            and isinstance(node.test, ast.Name)
            and node.test.id == "TYPE_CHECKING"
        ):
            pending += node.orelse
            continue
        yield node
        pending += ast.iter_child_nodes(node)


def _imported(node: ast.AST, package: str) -> list[str]:
    if isinstance(node, ast.Import):
        return [each.name for each in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    base = node.module or ""
    if node.level:
        parts = package.split(".")
        base = ".".join([*parts[: len(parts) - node.level + 1], *([base] if base else [])])
    return [base, *(f"{base}.{each.name}" for each in node.names)]


def _prefixes(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:number]) for number in range(2, len(parts) + 1)]
