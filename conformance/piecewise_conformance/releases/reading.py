"""What a dotted name of torch is, read from the source: nothing is imported.

A function is its signature, what it raises, and its body; a class its bases and
members; a module of settings its names and their defaults.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache

from .sources import Torch

_DEEPEST = 6  # modules that a name is followed through
_SETTINGS = ("config", "_config")  # modules whose names are settings
_PUBLIC_DUNDERS = ("__init__", "__call__", "__enter__", "__exit__", "__new__")

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(frozen=True)
class Described:
    """What is known of a name. ``facts`` are compared one by one."""

    kind: str  # "function", "class", "settings", "module" or "value"
    where: str  # file and line
    source: str  # as it stands in the file
    nodes: tuple[ast.stmt, ...]

    @cached_property
    def facts(self) -> Mapping[str, str]:
        """What callers depend on, by what it is about."""
        if self.kind == "settings":
            return dict(_settings(self.nodes))
        if self.kind == "module":
            names = [each.name for each in _statements(self.nodes) if isinstance(each, Definition)]
            return {each: "defined" for each in names if not each.startswith("_")}
        (node,) = self.nodes
        if isinstance(node, ast.ClassDef):
            return {"bases": ", ".join(map(ast.unparse, node.bases)), **dict(_members(node))}
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            return {"signature": signature(node), "raises": "\n".join(raised(node))}
        value = node.value if isinstance(node, (ast.Assign, ast.AnnAssign)) else None
        return {"value": ast.unparse(value) if value is not None else ""}

    @cached_property
    def body(self) -> str:
        """The source of a function or class, without comments, docstrings and annotations."""
        if self.kind not in ("function", "class"):
            return ""
        (node,) = self.nodes
        for each in ast.walk(node):
            if isinstance(each, Definition) and ast.get_docstring(each, clean=False) is not None:
                each.body = each.body[1:] or [ast.Pass()]
            if isinstance(each, ast.arg):
                each.annotation = None
            elif isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef):
                each.returns = None
        return ast.unparse(node)


class Reader:
    """Describes names of one torch; files are parsed once."""

    def __init__(self, torch: Torch) -> None:
        self.torch = torch
        self._parse = lru_cache(maxsize=None)(self._parsed)
        self._lines = lru_cache(maxsize=None)(lambda path: torch.read(path).split("\n"))

    def _parsed(self, path: str) -> ast.Module:
        try:
            return ast.parse(self.torch.read(path))
        except SyntaxError:  # of a newer Python than this one
            return ast.Module(body=[], type_ignores=[])

    def describe(self, name: str) -> Described | None:
        """What ``name`` is, or None if the source does not define it."""
        return self._describe(name, 0)

    def _describe(self, name: str, depth: int) -> Described | None:
        module, rest = self._module_of(name)
        if module is None or depth > _DEEPEST:
            return None
        path = self.torch.file_of(module)
        assert path is not None
        body = self._parse(path).body
        if not rest:
            return self._of_module(body, path)
        first, *members = rest
        found = _defined(body, first)
        if found is None:
            target = self._imported(body, module, path, first)
            return self._describe(".".join([target, *members]), depth + 1) if target else None
        for member in members:
            if not isinstance(found, ast.ClassDef):
                return None
            found = _defined(found.body, member)
        return self._of_node(found, path) if found is not None else None

    def _of_module(self, body: list[ast.stmt], path: str) -> Described:
        name = path.removesuffix("/__init__.py").removesuffix(".py").rpartition("/")[2]
        kind = "settings" if name in _SETTINGS else "module"
        return Described(kind, f"{path}:1", self.torch.read(path), tuple(body))

    def _of_node(self, node: ast.stmt, path: str) -> Described:
        lines = self._lines(path)[node.lineno - 1 : node.end_lineno]
        kind = "class" if isinstance(node, ast.ClassDef) else "function"
        kind = kind if isinstance(node, Definition) else "value"
        return Described(kind, f"{path}:{node.lineno}", "\n".join(lines), (node,))

    def _module_of(self, name: str) -> tuple[str | None, list[str]]:
        """The longest prefix of ``name`` that is a module, and the parts that are left."""
        parts = name.split(".")
        for end in range(len(parts), 0, -1):
            module = ".".join(parts[:end])
            if path := self.torch.file_of(module):
                # a function may have the name of the module that it comes from
                if end == len(parts) > 1 and (parent := self.torch.file_of(".".join(parts[:-1]))):
                    body = self._parse(parent).body
                    if path != parent and isinstance(_defined(body, parts[-1]), Definition):
                        continue
                return module, parts[end:]
        return None, parts

    def _imported(self, body: list[ast.stmt], module: str, path: str, name: str) -> str | None:
        """The full name of what ``name`` is imported from."""
        package = module if path.endswith("/__init__.py") else module.rpartition(".")[0]
        for node in _statements(body):
            if isinstance(node, ast.ImportFrom):
                base = _absolute(node, package)
                for alias in node.names:
                    if (alias.asname or alias.name) == name:
                        return f"{base}.{alias.name}"
                    there = self.torch.file_of(base) if alias.name == "*" else None
                    if there and _defined(self._parse(there).body, name) is not None:
                        return f"{base}.{name}"
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    if alias.asname == name:
                        return alias.name
        return None


def _absolute(node: ast.ImportFrom, package: str) -> str:
    if not node.level:
        return node.module or ""
    parts = package.split(".")
    base = parts[: len(parts) - node.level + 1]
    return ".".join(filter(None, [*base, node.module]))


def _statements(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a module or class, also those inside ``if`` and ``try``."""
    for node in body:
        if isinstance(node, ast.If):
            yield from _statements(node.body)
            yield from _statements(node.orelse)
        elif isinstance(node, ast.Try):
            yield from _statements(node.body)
            for handler in node.handlers:
                yield from _statements(handler.body)
        else:
            yield node


def _defined(body: list[ast.stmt], name: str) -> ast.stmt | None:
    """The definition of ``name``: the last one that is not an overload."""
    found: ast.stmt | None = None
    for node in _statements(body):
        defines = isinstance(node, Definition) and node.name == name
        if defines or (name in _targets(node) and not isinstance(found, Definition)):
            found = node
    return found


def _targets(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.Assign):
        return [each.id for each in node.targets if isinstance(each, ast.Name)]
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return [node.target.id]
    return []


def _settings(body: Iterable[ast.stmt], prefix: str = "") -> Iterator[tuple[str, str]]:
    for node in _statements(body):
        if isinstance(node, ast.ClassDef):
            yield from _settings(node.body, f"{prefix}{node.name}.")
        elif isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
            for name in _targets(node):
                if not name.startswith("__"):
                    yield prefix + name, ast.unparse(node.value)


def _members(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    """Methods with their signatures, of which some also raise, and attributes."""
    for each in _statements(node.body):
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef):
            if not each.name.startswith("__") or each.name in _PUBLIC_DUNDERS:
                yield each.name, signature(each)
                if texts := raised(each):
                    yield f"{each.name} raises", "\n".join(texts)
        else:
            for name in _targets(each):
                value = getattr(each, "value", None)
                yield name, ast.unparse(value) if value is not None else "declared"


def signature(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    """The parameters with their defaults, without annotations."""
    given = node.args

    def bare(each: ast.arg | None) -> ast.arg | None:
        return ast.arg(each.arg) if each else None

    arguments = ast.arguments(
        posonlyargs=[ast.arg(each.arg) for each in given.posonlyargs],
        args=[ast.arg(each.arg) for each in given.args],
        vararg=bare(given.vararg),
        kwonlyargs=[ast.arg(each.arg) for each in given.kwonlyargs],
        kw_defaults=given.kw_defaults,
        kwarg=bare(given.kwarg),
        defaults=given.defaults,
    )
    return f"({ast.unparse(arguments)})"


def raised(node: ast.AST) -> list[str]:
    """What a function raises, each once, in the order of the source.

    Without AssertionError: an ``assert`` that becomes a ``raise`` changes nothing for a caller.
    """
    found = [
        ast.unparse(each.exc)
        for each in ast.walk(node)
        if isinstance(each, ast.Raise) and each.exc is not None
    ]
    return [each for each in dict.fromkeys(found) if not each.startswith("AssertionError")]
