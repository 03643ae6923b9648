"""Hashes of plain data that are equal in every process.

``hash()``, ``repr`` and pickling differ between processes (PYTHONHASHSEED, addresses, versions), so
a value is first converted to a canonical text. A value without such a text is an error, because its
key would never match again, or would match another value.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from types import FunctionType, ModuleType
from typing import Any


class NoKeyError(TypeError):
    """A value has no text that is equal in every process, or must not be cached."""


def canonical(value: Any) -> str:
    """The canonical text of a value. Types are distinguished; dicts and sets are sorted.

    Raises NoKeyError, a TypeError, for a value without a text that is equal in every process.
    """
    if value is None or isinstance(value, (bool, int, float, complex, str, bytes)):
        return f"{type(value).__name__}:{value!r}"
    if isinstance(value, Enum):
        return f"{type(value).__qualname__}.{value.name}"
    if isinstance(value, (tuple, list)):
        return f"[{','.join(canonical(item) for item in value)}]"
    if isinstance(value, (set, frozenset)):
        return f"{{{','.join(sorted(canonical(item) for item in value))}}}"
    if isinstance(value, Mapping):
        items = sorted((canonical(key), canonical(item)) for key, item in value.items())
        return f"{{{','.join(f'{key}={item}' for key, item in items)}}}"
    if callable(identity := getattr(value, "uuid", None)):  # an inductor pass
        if (known_by := identity()) is None:
            raise NoKeyError(f"{value!r} is not to be cached: its uuid() is None")
        return f"uuid:{canonical(known_by)}"
    if is_dataclass(value) and not isinstance(value, type):
        members = {each.name: getattr(value, each.name) for each in fields(value)}
        return f"{type(value).__qualname__}{canonical(members)}"
    if callable(value) and _has_name(value):
        more = function_digest(value) if isinstance(value, FunctionType) else ""
        return f"callable:{value.__module__}.{value.__qualname__}{more}"
    raise NoKeyError(
        f"cannot put {value!r} ({type(value).__name__}) into a cache key: "
        "use plain data, or an object with uuid()"
    )


def _has_name(function: Any) -> bool:
    """Whether a qualified name identifies ``function``: not for lambdas, functions defined in
    other functions, and methods of an object.
    """
    owner = getattr(function, "__self__", None)
    named = owner is None or isinstance(owner, (type, ModuleType))
    return named and "<" not in getattr(function, "__qualname__", "<")


def function_digest(function: Any) -> str:
    """A digest of the source of a function and the values it closes over. Raises NoKeyError for a
    function without source, and for a value without a canonical text.
    """
    if not isinstance(function, FunctionType):
        raise NoKeyError(
            f"{function!r} is no plain function: its source does not tell what it does"
        )
    try:
        # of the code object: for a wrapper, inspect would return the source of the wrapped function
        source = inspect.getsource(function.__code__)
    except OSError:
        raise NoKeyError(f"cannot put {function!r} into a cache key: it has no source") from None
    captured = [cell.cell_contents for cell in function.__closure__ or ()]
    defaults = [getattr(function, name) for name in ("__defaults__", "__kwdefaults__")]
    return digest(function.__qualname__, source, captured, defaults)


def digest(*values: Any) -> str:
    """SHA-256, as hex, of the canonical text of ``values``."""
    return hashlib.sha256(
        "\n".join(map(canonical, values)).encode(errors="surrogatepass")
    ).hexdigest()


def code_digest(paths: Any) -> str:
    """Hash of the names, without folders, and the contents of the source files ``paths``.

    Folders are left out so that a moved checkout keeps its cache. If two files have the same name,
    the order of their folders matters. A file that cannot be read, and code that was never in a
    file (``<string>``), is identified by its full path.
    """
    parts: list[str] = []
    for path in sorted(paths, key=lambda path: (path.rpartition("/")[2], path)):
        try:
            with open(path, "rb") as file:
                parts.append(f"{path.rpartition('/')[2]}:{digest(file.read())}")
        except OSError:
            parts.append(path)
    return digest(parts)
