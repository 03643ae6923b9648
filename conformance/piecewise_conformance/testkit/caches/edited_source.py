"""A source file that is edited, as between two starts of a process."""

from __future__ import annotations

import importlib.util
import sys
import tempfile
from pathlib import Path
from types import ModuleType

_folder = tempfile.TemporaryDirectory()


def module_of(text: str) -> ModuleType:
    """The one module of this file, whose file was edited to hold ``text``.

    Texts must differ in length: Python knows by that, too, that a file was edited.
    """
    path = Path(_folder.name, "conformance_written.py")
    path.write_text(text)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[path.stem] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
