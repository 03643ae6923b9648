"""Load the reference a second time, under another name, with patches in its source.

The modules of the reference import one another relatively, so that a copy of the package under
another name is complete and independent: many mutants live in one process.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import logging
import marshal
import sys
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

from ..core import coverage
from . import Mutant, Patch


def folder_of(package: str) -> Path:
    """Where ``package`` is; found and not imported, which would import torch."""
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise ImportError(f"{package} is not installed")
    return Path(found.origin).parent


REFERENCE = folder_of("piecewise_reference")

Compile = Callable[[str, str], Any]  # (source, path) -> code


def apply(patches: Sequence[Patch], file: str, source: str) -> str:
    """``source`` of ``file`` with ``patches``; ValueError if a text does not stand there once."""
    for patch in patches:
        if patch.file == file:
            if (count := source.count(patch.old)) != 1:
                raise ValueError(
                    f"the text to replace stands {count} times in {file}, not once:\n{patch.old}"
                )
            source = source.replace(patch.old, patch.new)
    return source


class _Loader(importlib.abc.Loader):
    def __init__(self, path: Path, edit: Callable[[str, str], Any]) -> None:
        self.path, self.edit = path, edit

    def exec_module(self, module: ModuleType) -> None:
        """Run the edited source in the new module."""
        vars(module)["__reached__"] = coverage.reached
        code = self.edit(self.path.read_text(encoding="utf-8"), str(self.path))
        exec(code, vars(module))
        _share_logger(module)


def _share_logger(module: ModuleType) -> None:
    """Let all copies of a module log by one logger: pytest goes through all loggers that there are
    six times a test, and each copy of the reference would bring ten.
    """
    loggers = logging.root.manager.loggerDict
    own = loggers.pop(module.__name__, None)
    loggers.pop(module.__package__ or "", None)  # the place that logging keeps for a parent
    if own is not None:
        shared = logging.getLogger(f"piecewise_mutants.{module.__name__.rpartition('.')[2]}")
        members = vars(module)
        members.update({name: shared for name, each in members.items() if each is own})


class _Finder(importlib.abc.MetaPathFinder):
    """Finds one copy of the reference: the package ``name`` and its modules."""

    def __init__(self, name: str, edit: Callable[[str, str], Any]) -> None:
        self.name, self.edit = name, edit

    def find_spec(
        self, fullname: str, path: Any = None, target: Any = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The module of the copy that ``fullname`` names."""
        package, _, module = fullname.partition(".")
        if package != self.name:
            return None
        file = REFERENCE / (f"{module}.py" if module else "__init__.py")
        loader = _Loader(file, self.edit)
        return importlib.util.spec_from_file_location(
            fullname,
            file,
            loader=loader,
            submodule_search_locations=None if module else [str(REFERENCE)],
        )


def _load(name: str, edit: Callable[[str, str], Any]) -> ModuleType:
    if name in sys.modules:
        return sys.modules[name]
    sys.meta_path.insert(0, _Finder(name, edit))
    # dataclasses compile the same methods for each copy, which would be half of what a copy takes
    with mock.patch.object(dataclasses, "exec", _exec, create=True):
        return importlib.import_module(name)


_compiled = cache(lambda source: compile(source, "<string>", "exec"))


def _exec(source: str, names: dict[str, Any], own: dict[str, Any] | None = None) -> None:
    exec(_compiled(source), names, own)


@cache
def _as_it_is(source: str, path: str) -> bytes:
    """A module that most mutants share, compiled once. Each gets code objects of its own."""
    return marshal.dumps(compile(source, path, "exec"))


def _package(mutant: Mutant) -> str:
    return "piecewise_mutant_" + mutant.name.replace("_", "__").replace("-", "_")


def forget(mutant: Mutant) -> None:
    """Let the next ``plant`` of ``mutant`` make it anew, without what it keeps in its modules."""
    name = _package(mutant)
    sys.meta_path[:] = [each for each in sys.meta_path if getattr(each, "name", None) != name]
    for module in [each for each in sys.modules if each.partition(".")[0] == name]:
        del sys.modules[module]


def plant(mutant: Mutant) -> ModuleType:
    """The package of ``mutant``; one per process, until it is forgotten."""
    unknown = {patch.file for patch in mutant.patches} - {p.name for p in REFERENCE.glob("*.py")}
    if unknown:
        raise ValueError(f"mutant {mutant.name} patches {sorted(unknown)}, which do not exist")

    patched = {patch.file for patch in mutant.patches}

    def edit(source: str, path: str) -> Any:
        if (name := Path(path).name) not in patched:
            return marshal.loads(_as_it_is(source, path))
        return compile(apply(mutant.patches, name, source), path, "exec")

    return _load(_package(mutant), edit)


class _Instrument(ast.NodeTransformer):
    """Puts a call before every statement of every function, which says that it was reached."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.depth = 0

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """Statements of functions count, those of modules and classes run at import."""
        self.depth += 1
        visited = self.generic_visit(node)
        self.depth -= 1
        return visited

    def generic_visit(self, node: ast.AST) -> ast.AST:
        """Put a call before each statement in the lists of statements of ``node``."""
        super().generic_visit(node)
        if self.depth:
            for name in ("body", "orelse", "finalbody"):
                statements = getattr(node, name, None)
                if isinstance(statements, list):  # a lambda's body is an expression
                    setattr(node, name, [e for s in statements for e in self._noted(s)])
        return node

    def _noted(self, statement: ast.stmt) -> list[ast.stmt]:
        if isinstance(statement, ast.Nonlocal | ast.Global):
            return [statement]  # must come first
        call = ast.parse(f"__reached__({coverage.key(self.file, statement.lineno)!r})").body
        return [*call, statement]


def instrumented() -> ModuleType:
    """The reference itself, which tells the functions of it that run."""

    def edit(source: str, path: str) -> Any:
        tree = _Instrument(Path(path).name).visit(ast.parse(source))
        return compile(ast.fix_missing_locations(tree), path, "exec")

    return _load("piecewise_reference_instrumented", edit)


def check(mutant: Mutant) -> None:
    """Raise ValueError if ``mutant`` cannot be planted, before a run of all mutants dies of it."""
    for file in {patch.file for patch in mutant.patches}:
        source = (REFERENCE / file).read_text(encoding="utf-8")
        try:
            ast.parse(apply(mutant.patches, file, source))
        except SyntaxError as error:
            raise ValueError(f"mutant {mutant.name} makes no valid {file}: {error}") from error


def statements_of(mutant: Mutant) -> set[str]:
    """The statements of the reference that ``mutant`` changes, as keys of :mod:`..reach`.

    A patch outside all functions, such as of a class body or a constant, touches the whole file:
    the key is then its name.
    """
    touched: set[str] = set()
    for patch in mutant.patches:
        source = (REFERENCE / patch.file).read_text(encoding="utf-8")
        apply([patch], patch.file, source)  # complains if the text does not stand there once
        start = source.count("\n", 0, source.index(patch.old)) + 1
        end = start + patch.old.rstrip("\n").count("\n") + 1
        statements = _statements(patch.file, source)
        touched |= {key for key in statements[start - 1 : end - 1] if key is not None}
    return touched


@cache
def _statements(file: str, source: str) -> list[str | None]:
    """For each line the innermost statement of a function around it, or else the file; None where
    the line is empty.
    """
    innermost = [0] * source.count("\n") + [0]
    for function in ast.walk(ast.parse(source)):
        if not isinstance(function, ast.FunctionDef):
            continue
        for statement in (each for child in function.body for each in ast.walk(child)):
            if isinstance(statement, ast.stmt):
                for line in range(statement.lineno, (statement.end_lineno or statement.lineno) + 1):
                    innermost[line - 1] = max(innermost[line - 1], statement.lineno)
    return [
        None if not text.strip() else coverage.key(file, at) if at else file
        for text, at in zip(source.split("\n"), innermost, strict=True)
    ]
