"""The part of a module that one test needs: what it uses, and what that uses, in its order."""

from __future__ import annotations

import ast
import re


def part_of(source: str, *names: str) -> str:
    """The statements of ``source`` that ``names``, which it defines, depend on.

    Without the module's docstring and its imports from the future. What binds no name, such as a
    bare call, is kept, and so is an import that nothing uses: nobody knows what depends on it. An
    op that is registered with torch is kept if its name occurs, also in a text.
    """
    tree = ast.parse(source)
    lines = source.splitlines()
    statements = [each for each in tree.body if not _is_preface(each)]
    binding: dict[str, list[ast.stmt]] = {}
    for each in statements:
        for name in _bound(each):
            binding.setdefault(name, []).append(each)
    pending = [each for name in names for each in binding[name]]
    pending += [each for each in statements if not _bound(each)]
    kept: set[int] = set()
    while pending:
        while pending:
            statement = pending.pop()
            if id(statement) in kept or isinstance(statement, ast.Import | ast.ImportFrom):
                continue
            kept.add(id(statement))
            pending += [each for name in _used(statement) for each in binding.get(name, ())]
        # ops that what is kept may call, or that it says more of
        text = "\n".join(ast.unparse(each) for each in statements if id(each) in kept)
        pending = [
            each
            for each in statements
            if id(each) not in kept and any(_occurs(name, text) for name in _registered(each))
        ]
    used = {name for each in statements if id(each) in kept for name in _used(each)}
    # an import that the whole module does not use is there for its effect
    unused = {name for each in statements for name in _bound(each)}
    unused -= {name for each in statements for name in _used(each)}
    imports = [_only(each, used | unused) for each in statements]
    text = "\n".join(each for each in imports if each)
    before = 0
    for each in statements:
        if id(each) in kept:
            first, last = _lines(each)
            while first > before and lines[first - 1].startswith("#"):
                first -= 1  # the comment above
            blank = "\n" if before == first and _is_small(each) else "\n\n\n"
            text += blank + "\n".join(lines[first:last])
            before = last
    return text.strip("\n") + "\n"


def _is_preface(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.ImportFrom):
        return statement.module == "__future__"
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _is_small(statement: ast.stmt) -> bool:
    return not isinstance(statement, ast.FunctionDef | ast.ClassDef)


def _registered(statement: ast.stmt) -> list[str]:
    """The names of the op that ``statement`` tells torch of, or tells torch more of."""
    found: list[str] = []
    for each in getattr(statement, "decorator_list", ()):
        text = ast.unparse(each)
        if ".register_" in text:
            found.append(text.partition(".")[0])
        elif "torch.library." in text:
            texts = [n.value for n in ast.walk(each) if isinstance(n, ast.Constant)]
            found += [name.rpartition("::")[2] for name in texts if isinstance(name, str)]
            found += _bound(statement)
    return [name for name in found if name.isidentifier()]


def _occurs(name: str, text: str) -> bool:
    return re.search(rf"\b{name}\b", text) is not None


def _bound(statement: ast.stmt) -> list[str]:
    """The names that ``statement`` gives a meaning in its module."""
    if isinstance(statement, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
        return [statement.name]
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return [_as(each) for each in statement.names]
    found: list[str] = []
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.append(node.id)
        elif isinstance(node, ast.alias):
            found.append(_as(node))
    return found


def _as(alias: ast.alias) -> str:
    return alias.asname or alias.name.partition(".")[0]


def _used(statement: ast.stmt) -> set[str]:
    """Every name in ``statement``, those in annotations included."""
    return {node.id for node in ast.walk(statement) if isinstance(node, ast.Name)}


def _only(statement: ast.stmt, used: set[str]) -> str:
    """The import ``statement`` with what is used of it; nothing for what is no import."""
    if not isinstance(statement, ast.Import | ast.ImportFrom):
        return ""
    names = [each for each in statement.names if _as(each) in used]
    if not names:
        module = getattr(statement, "module", None) or ""
        ours = module.startswith("piecewise_fixtures")  # which registers ops that a test may call
        return f"import {module}  # for its side effect" if ours else ""
    if isinstance(statement, ast.Import):
        return ast.unparse(ast.Import(names))
    return ast.unparse(ast.ImportFrom(statement.module, names, statement.level))


def _lines(statement: ast.stmt) -> tuple[int, int]:
    """The lines of ``statement`` from 0, decorators included; the last is not."""
    decorators = getattr(statement, "decorator_list", [])
    first = min([statement.lineno, *(each.lineno for each in decorators)])
    return first - 1, statement.end_lineno or statement.lineno
