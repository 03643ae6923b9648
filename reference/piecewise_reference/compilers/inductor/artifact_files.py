"""Artifacts in the cache folder, named by the digest of their content.

If the content does not match the digest in the name, the artifact counts as missing. It is not
unpickled, imported or run.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from typing import Any

_DIGEST_LENGTH = 32


def content_digest(path: str) -> str:
    """SHA-256 of a file, or of the names and contents of all files in a folder."""
    content = hashlib.sha256()
    files = [path]
    if os.path.isdir(path):
        files = [os.path.join(root, name) for root, _, names in os.walk(path) for name in names]
    for file in sorted(files):
        content.update(os.path.relpath(file, path).encode())
        with open(file, "rb") as opened:
            content.update(hashlib.sha256(opened.read()).digest())
    return content.hexdigest()


def keep(folder: str, key: str, write: Callable[[str], None]) -> str:
    """Call ``write`` with a temporary path, and move the file or folder it creates to ``folder``.

    Returns the name in ``folder``. The move is atomic for other processes. An existing artifact of
    that name with another content is corrupt and is replaced. Raises OSError, and the exceptions of
    ``write``.
    """
    workplace = tempfile.mkdtemp(prefix=".saving-", dir=folder)
    try:
        made = os.path.join(workplace, "artifact")
        write(made)
        digest = content_digest(made)
        name = f"{key}-{digest[:_DIGEST_LENGTH]}"
        target = os.path.join(folder, name)
        if not _holds(target, digest):
            with suppress(FileNotFoundError):  # a folder that is not empty cannot be replaced
                os.rename(target, os.path.join(workplace, "damaged"))
            try:
                os.replace(made, target)
            except OSError:
                if not _holds(target, digest):  # otherwise another process was faster
                    raise
    finally:
        shutil.rmtree(workplace, ignore_errors=True)
    return name


def _holds(path: str, digest: str) -> bool:
    try:
        return content_digest(path) == digest
    except OSError:
        return False


def checked_path(folder: str | None, handle: Any) -> str:
    """The path in ``folder`` of the artifact for ``handle``, a tuple ``(key, name)``.

    Raises ValueError if the name points outside of the folder or the content does not match, and
    OSError if the file does not exist.
    """
    key, name = handle
    if folder is None or name != os.path.basename(name) or name.startswith("."):
        raise ValueError(f"{name!r} is no artifact of this cache folder")
    path = os.path.join(folder, name)
    if name != f"{key}-{content_digest(path)[:_DIGEST_LENGTH]}":
        raise ValueError(f"the content of {path} is not what was saved")
    return path
