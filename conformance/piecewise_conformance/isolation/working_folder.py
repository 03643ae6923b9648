"""A working folder for one test, in which nothing is to be left."""

from __future__ import annotations

import os
import shutil
import tempfile


class WorkingFolder:
    """A context in which the current folder is a new, empty one.

    A backend that has no place for its files must not put them where it was started.
    """

    def __enter__(self) -> WorkingFolder:
        self._before = os.getcwd()
        self.path = os.path.realpath(tempfile.mkdtemp(prefix="piecewise-working-"))
        os.chdir(self.path)
        return self

    def __exit__(self, *exc: object) -> None:
        os.chdir(self._before)
        shutil.rmtree(self.path, ignore_errors=True)

    def files(self) -> list[str]:
        """What lies in the folder."""
        return sorted(os.listdir(self.path))
