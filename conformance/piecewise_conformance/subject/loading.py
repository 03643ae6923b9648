"""From the SPEC of ``--backend`` to a subject; whatever goes wrong is one clear message.

What is loaded is somebody else's code: it may raise anything, also ``SystemExit``.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

from .load_error import LoadError, listed, near
from .registry import BACKENDS, SCHEMES, registered

if TYPE_CHECKING:
    from .subject import Subject

__all__ = ["LoadError", "load_subject"]

T = TypeVar("T")


def load_subject(spec: str) -> Subject:
    """The subject that ``spec`` names.

    ``spec`` is a registered name, ``module``, ``module:attribute``, ``path/to/file.py``,
    ``path/to/file.py:attribute`` or ``KIND:REST`` with a registered scheme, such as
    ``dynamo:NAME``. Raises LoadError.
    """
    if not spec.strip():
        raise LoadError(
            "--backend is empty; pass a registered name, a module, a file, or dynamo:NAME"
        )
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.insert(0, os.getcwd())
    kind, _, rest = spec.partition(":")
    if scheme := registered(SCHEMES).get(kind):
        made: Subject = _guarded(lambda: scheme.load()(rest), spec)
        return made
    path, attribute = _split_path(spec)
    if path is not None:
        module = _import_file(path, spec)
        # tests, and the processes that they start, run in other folders
        origin = str(path.expanduser().resolve()) + (f":{attribute}" if attribute else "")
        return _subject(module, attribute, path.stem, origin)
    backends = registered(BACKENDS)
    if spec in backends:
        target = backends[spec]
        module = _import_module(target.module, f"{spec} (registered as {target.value})")
        return _subject(module, target.attr, spec, spec)
    name, _, attribute = spec.partition(":")
    if not all(part.isidentifier() for part in name.split(".")):
        raise LoadError(
            f"--backend is {spec!r}, expected a registered name, a module, a file ending in .py, "
            "or dynamo:NAME"
        )
    if importable(name) or "." in name or attribute:
        return _subject(_import_module(name, spec), attribute, name, spec)
    raise LoadError(
        f"no backend {spec!r}: it is neither a registered name nor an importable module; "
        f"registered are {listed(backends)}{near(spec, backends)}"
    )


def importable(name: str) -> bool:
    """Whether there is a module ``name``; for a dotted name its parents are imported."""
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


# -- the forms of a SPEC ---------------------------------------------------------------------------


def _split_path(spec: str) -> tuple[Path | None, str]:
    """``path/to/file.py[:attribute]`` as path and attribute, or (None, "") if it is no path."""
    if spec.endswith(".py"):
        return Path(spec), ""
    head, colon, attribute = spec.rpartition(":")
    if colon and head.endswith(".py"):
        return Path(head), attribute
    if os.sep in spec:
        raise LoadError(f"--backend {spec!r} looks like a path, but does not end in .py")
    return None, ""


def _import_file(path: Path, spec: str) -> ModuleType:
    path = path.expanduser()
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise LoadError(
            f"the file {path} of --backend {spec} {what} (working folder {os.getcwd()})"
        )
    path = path.resolve()
    found = importlib.util.spec_from_file_location(path.stem, path)
    assert found is not None  # the name ends in .py
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    loader = found.loader

    def run() -> ModuleType:
        loader.exec_module(module)
        return module

    shadowed = sys.modules.get(path.stem)
    sys.path.insert(0, str(path.parent))
    # Classes of the file find their module by name; a module that torch or we have keeps its own.
    if shadowed is None:
        sys.modules[path.stem] = module
    try:
        return _guarded(run, spec)
    except LoadError:
        if shadowed is None:
            sys.modules.pop(path.stem, None)
        raise
    finally:
        sys.path.remove(str(path.parent))


def _import_module(name: str, spec: str) -> ModuleType:
    try:
        return _guarded(lambda: importlib.import_module(name), spec)
    except LoadError as error:
        cause = error.__cause__
        if isinstance(cause, ModuleNotFoundError) and _is_part(cause.name, name):
            raise LoadError(
                f"no module {cause.name!r} for --backend {spec}; install it, or run in a folder "
                f"from which it can be imported (now {os.getcwd()})"
            ) from cause
        raise


def _is_part(missing: str | None, name: str) -> bool:
    return missing is not None and (name == missing or name.startswith(f"{missing}."))


def _attribute(module: ModuleType, attribute: str, spec: str) -> Any:
    """``module.attribute``, with dots in ``attribute``; the module itself if that is empty."""
    found: Any = module
    for part in attribute.split(".") if attribute else ():
        try:
            found = getattr(found, part)
        except AttributeError:
            public = [name for name in vars(found) if not name.startswith("_")]
            where = getattr(found, "__file__", None) or getattr(found, "__name__", found)
            raise LoadError(
                f"{where} has no attribute {part!r} (--backend {spec}); "
                f"it has {listed(public)}{near(part, public)}"
            ) from None
    return found


def _subject(module: ModuleType, attribute: str, name: str, spec: str) -> Subject:
    from .adapters.rungs import from_object

    found = _attribute(module, attribute, spec)
    made = _guarded(lambda: from_object(found, name=name, origin=spec), spec)
    file = getattr(module, "__file__", None) or ""
    return replace(made, adapter=made.adapter or file, file=file)


# -- messages --------------------------------------------------------------------------------------


def _guarded(function: Callable[[], T], spec: str) -> T:
    """``function()``; anything that it raises becomes a LoadError that tells what and where."""
    try:
        return function()
    except KeyboardInterrupt:
        raise
    except LoadError:
        raise
    except SyntaxError as error:
        where = f"{error.filename}:{error.lineno}"
        raise LoadError(f"syntax error in {where} (--backend {spec}): {error.msg}") from error
    except BaseException as error:
        frames = traceback.extract_tb(error.__traceback__)
        own = [each for each in frames if not _is_ours(each.filename)]
        where = f" at {own[-1].filename}:{own[-1].lineno}" if own else ""
        said = " ".join(str(error).split())[:500]
        raise LoadError(
            f"--backend {spec} could not be loaded: {type(error).__name__}: {said}{where}"
        ) from error


def _is_ours(filename: str) -> bool:
    return filename.startswith("<frozen importlib") or filename == __file__
