"""What code depends on, as a digest, and a database of what was compiled by that."""

from __future__ import annotations

import ast
import contextlib
import hashlib
import operator
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from cutting import Part

cache_file = "store.sqlite"


def digest(*texts: str) -> str:
    """Of texts."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()


def settled(value: Any) -> str:
    """A text of settings that is the same in every process and order."""
    if isinstance(value, Mapping):
        return f"{{{sorted((settled(key), settled(value[key])) for key in value)}}}"
    if isinstance(value, (set, frozenset)):
        return f"set {sorted(map(settled, value))}"
    if isinstance(value, (tuple, list)):
        return f"{type(value).__name__} {list(map(settled, value))}"
    if hasattr(value, "uuid"):
        return str(value.uuid())
    return f"{type(value).__name__} {value!r}"


def described(value: Any) -> str:
    """What code depends on of an input."""
    if isinstance(value, torch.Tensor):
        return f"{value.dtype} {value.device} {list(value.shape)} {value.stride()}"
    return f"{type(value).__name__} {value}"


def made_of(function: Any) -> str:
    """What a function of Python does: two may have one name."""
    code = getattr(function, "__code__", None)
    if code is None:
        return str(function)
    cells = [cell.cell_contents for cell in function.__closure__ or ()]
    inside = [made_of(each) if callable(each) else repr(each) for each in code.co_consts]
    return f"{code.co_code!r} {code.co_names} {inside} {cells} {function.__defaults__}"


def identity(part: Part) -> str:
    """Of the code of a part, its constants and its inputs."""
    constants = []
    for node in part.gm.graph.find_nodes(op="get_attr"):
        value = operator.attrgetter(node.target)(part.gm)
        constants.append(described(value))
        if isinstance(value, torch.Tensor) and not isinstance(value, torch.nn.Parameter):
            constants.append(str(value.detach().flatten().tolist()))
    functions = [made_of(node.target) for node in part.gm.graph.nodes if callable(node.target)]
    return digest(part.gm.code, *functions, *constants, *map(described, part.examples))


class Store:
    """Handles by identity, range and compiler; without a folder, or with a bad one, none."""

    def __init__(self, folder: Path | None) -> None:
        self.path = None if folder is None else folder / cache_file

    def _ask(self, command: str, values: tuple[str, ...]) -> list[Any]:
        if self.path is None:
            return []
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.closing(sqlite3.connect(self.path)) as database, database:
                database.execute("CREATE TABLE IF NOT EXISTS kept (key PRIMARY KEY, handle)")
                return database.execute(command, values).fetchall()
        except (sqlite3.Error, OSError):
            return []

    def get(self, key: str) -> Any:
        """The handle, or None."""
        for (text,) in self._ask("SELECT handle FROM kept WHERE key = ?", (key,)):
            with contextlib.suppress(ValueError, SyntaxError):
                return ast.literal_eval(text)
        return None

    def put(self, key: str, handle: Any) -> bool:
        """Whether it was stored."""
        text = repr(handle)
        try:
            if repr(ast.literal_eval(text)) != text:
                return False
            text.encode()
        except (ValueError, SyntaxError):
            return False
        self._ask("INSERT OR REPLACE INTO kept VALUES (?, ?)", (key, text))
        return self.get(key) is not None
