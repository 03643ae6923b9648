"""Load the reference a second time, under another name, with patches in its source.

The modules of the reference import one another relatively, so a copy of the package under another
name is complete and independent of the original: mutants live beside it in one process.
"""

from __future__ import annotations

import ast
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import marshal
import sys
import textwrap
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from ..core import coverage
from .catalogue import Mutant, Patch


def _folder_of(package: str) -> Path:
    """Where ``package`` is; found without importing it, which would import torch."""
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise ImportError(f"{package} is not installed")
    return Path(found.origin).parent


REFERENCE = _folder_of("piecewise_reference")

# -- edits of source text ------------------------------------------------------------------------


def span_of(patch: Patch, source: str) -> tuple[int, int, str]:
    """What ``patch`` replaces in ``source``: start, end, and the indentation of that line.

    Raises ValueError if it does not name exactly one place.
    """
    if patch.at is not None:
        if not source.startswith(patch.old, patch.at):
            raise ValueError(f"expected this text at {patch.at} in {patch.file}:\n{patch.old}")
        return patch.at, patch.at + len(patch.old), ""
    start, end = _function_span(patch, source) if patch.inside else (0, len(source))
    where = f"{patch.inside} in {patch.file}" if patch.inside else patch.file
    if patch.statement:
        found = [
            (first, last)
            for first, last in _statements(source)
            if start <= first < end and source.startswith(patch.statement, first)
        ]
    else:
        found = []
        first_line = patch.old.split("\n", 1)[0]
        at = source.find(first_line, start, end)
        while at >= 0:
            text = _indented(patch.old, _indentation(source, at))
            if source.startswith(text, at) and at + len(text) <= end:
                found.append((at, at + len(text)))
            at = source.find(first_line, at + 1, end)
    if len(found) != 1:
        wanted = patch.statement or patch.old
        raise ValueError(
            f"expected this text once in {where}, found it {len(found)} times:\n{wanted}"
        )
    ((start, end),) = found
    return start, end, _indentation(source, start)


def apply(patch: Patch, source: str) -> str:
    """``source`` with ``patch``. Raises ValueError if the patch does not fit exactly once."""
    start, end, indentation = span_of(patch, source)
    return source[:start] + _indented(patch.new, indentation) + source[end:]


def _indentation(source: str, at: int) -> str:
    line = source[source.rfind("\n", 0, at) + 1 :]
    return line[: len(line) - len(line.lstrip(" "))]


def _indented(text: str, indentation: str) -> str:
    """``text`` with every line after the first indented."""
    return textwrap.indent(text, indentation)[len(indentation) :] if text.strip() else text


def _function_span(patch: Patch, source: str) -> tuple[int, int]:
    """The text of the function or class that ``patch.inside`` names, decorators included."""
    body: list[ast.stmt] = ast.parse(source).body
    found: Any = None
    for name in patch.inside.split("."):
        definitions = [
            each
            for each in body
            if isinstance(each, ast.FunctionDef | ast.ClassDef) and each.name == name
        ]
        if len(definitions) != 1:
            raise ValueError(
                f"{patch.file} has {len(definitions)} definitions of {patch.inside}, expected one"
            )
        (found,) = definitions
        body = found.body
    first = min([found.lineno, *(each.lineno for each in found.decorator_list)])
    starts = _line_starts(source)
    return starts[first - 1], starts[found.end_lineno]


def _statements(source: str) -> list[tuple[int, int]]:
    """Start and end of every statement."""
    starts = _line_starts(source)
    return [
        (
            starts[node.lineno - 1] + node.col_offset,
            starts[node.end_lineno - 1] + node.end_col_offset,
        )
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.stmt) and node.end_lineno and node.end_col_offset is not None
    ]


def _line_starts(source: str) -> list[int]:
    """The position of every line, and of the end. AST columns count bytes: sources are ASCII."""
    starts = [0]
    for line in source.split("\n"):
        starts.append(starts[-1] + len(line) + 1)
    return starts


# -- copies of the package -----------------------------------------------------------------------

Edit = Callable[[str, str], Any]  # (source, path) -> code


class _Loader(importlib.abc.Loader):
    def __init__(self, path: Path, edit: Edit) -> None:
        self.path, self.edit = path, edit

    def exec_module(self, module: ModuleType) -> None:
        """Run the edited source in the new module."""
        vars(module)["__reached__"] = coverage.reached
        exec(self.edit(self.path.read_text(encoding="utf-8"), str(self.path)), vars(module))


class _Finder(importlib.abc.MetaPathFinder):
    """Finds one copy of the reference: the package ``name`` and its modules."""

    def __init__(self, name: str, edit: Edit) -> None:
        self.name, self.edit = name, edit

    def find_spec(
        self, fullname: str, path: Any = None, target: Any = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The module of the copy that ``fullname`` names."""
        package, *parts = fullname.split(".")
        if package != self.name:
            return None
        folder = REFERENCE.joinpath(*parts)
        is_package = folder.is_dir()
        file = folder / "__init__.py" if is_package else folder.with_suffix(".py")
        return importlib.util.spec_from_file_location(
            fullname,
            file,
            loader=_Loader(file, self.edit),
            submodule_search_locations=[str(folder)] if is_package else None,
        )


def load_copy(name: str, edit: Edit) -> ModuleType:
    """The reference as the package ``name``, with the code that ``edit`` makes of its sources."""
    if name not in sys.modules:
        sys.meta_path.insert(0, _Finder(name, edit))
        importlib.import_module(name)
    return sys.modules[name]


@cache
def compiled(source: str, path: str) -> bytes:
    """The code of a module that most mutants share; marshalled, so that each gets its own."""
    return marshal.dumps(compile(source, path, "exec"))


def plant(mutant: Mutant) -> ModuleType:
    """The package of ``mutant``; it stays in ``sys.modules``, so a process plants it once."""

    def edit(source: str, path: str) -> Any:
        file = Path(path).relative_to(REFERENCE).as_posix()
        patches = [patch for patch in mutant.patches if patch.file == file]
        if not patches:
            return marshal.loads(compiled(source, path))
        for patch in patches:
            source = apply(patch, source)
        return compile(source, path, "exec")

    return load_copy("piecewise_mutant_" + mutant.name.replace("-", "_"), edit)


def patched_sources(mutant: Mutant) -> dict[str, str]:
    """The files that ``mutant`` changes, as edited; ValueError if a patch does not fit."""
    texts: dict[str, str] = {}
    for patch in mutant.patches:
        path = REFERENCE / patch.file
        if not path.is_file():
            raise ValueError(f"mutant {mutant.name} patches {patch.file}, which does not exist")
        text = texts.get(patch.file) or path.read_text(encoding="utf-8")
        texts[patch.file] = apply(patch, text)
    return texts


def check(mutant: Mutant) -> None:
    """Raise ValueError if ``mutant`` cannot be planted."""
    try:
        texts = patched_sources(mutant)
    except ValueError as error:
        raise ValueError(f"mutant {mutant.name}: {error}") from None
    for file, text in texts.items():
        try:
            ast.parse(text)
        except SyntaxError as error:
            raise ValueError(f"mutant {mutant.name} makes {file} invalid: {error}") from error
