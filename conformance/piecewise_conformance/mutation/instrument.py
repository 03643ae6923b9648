"""The instrumented reference: it reports every statement that runs, to :mod:`..core.coverage`.

The matrix runs the suite on it once, so that a mutant is run only on tests that reach what it
changes. Own code rather than coverage.py, because a test may run part of itself in a fresh process
off the fork server, and reports that part as well.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from ..core import coverage
from .catalogue import Mutant
from .planting import REFERENCE, load_copy, span_of

INSTRUMENTED = "instrumented"


class _Instrument(ast.NodeTransformer):
    """Puts a call before every statement of every function, which reports that it ran."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.depth = 0

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """Statements of functions count; those of modules and classes run at import."""
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
    """The reference, unchanged but for reporting what runs."""

    def edit(source: str, path: str) -> Any:
        file = Path(path).relative_to(REFERENCE).as_posix()
        tree = _Instrument(file).visit(ast.parse(source))
        return compile(ast.fix_missing_locations(tree), path, "exec")

    return load_copy("piecewise_reference_instrumented", edit)


def statements_of(mutant: Mutant) -> set[str]:
    """The statements of the reference that ``mutant`` changes, as keys of :mod:`..core.coverage`.

    A patch outside all functions, such as one of a class body or a constant, touches the whole
    file: the key is then its name.
    """
    touched: set[str] = set()
    for patch in mutant.patches:
        source = (REFERENCE / patch.file).read_text(encoding="utf-8")
        start, end, _ = span_of(patch, source)
        lines = _innermost(patch.file, source)
        first = source.count("\n", 0, start)
        last = source.count("\n", 0, max(start, end - 1))
        touched |= {key for key in lines[first : last + 1] if key is not None}
    return touched


@cache
def _innermost(file: str, source: str) -> list[str | None]:
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
