"""Fresh processes, without the seconds that the import of torch takes.

A fork server is a process that has imported torch and done nothing since. What is forked off it is
as good as new: it has seen no subject, compiled nothing and started no thread. Only what Python
settles when it starts is the server's; who wants that of its own starts a process anew. The seed of
hashes is always 1, for a verdict to repeat.
"""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import multiprocessing.forkserver
import os
import sys
import tempfile
from functools import cache
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any
from unittest import mock

_SECONDS = 10.0  # for a process that was killed to be gone


class Fresh:
    """A process that does ``module:function(connection, *args)``, and the other end of its line.

    ``args`` are of plain types. What the process prints is kept, for when it fails.
    """

    def __init__(self, function: str, *args: Any) -> None:
        handle, self._printed = tempfile.mkstemp(prefix="piecewise-fresh-")
        os.close(handle)
        self.connection, far = _server().Pipe()
        self.process = _server().Process(
            target=_serve,
            args=(
                dict(os.environ),
                os.getcwd(),
                list(sys.path),
                self._printed,
                far,
                function,
                args,
            ),
            daemon=True,
        )
        self.process.start()
        far.close()

    def receive(self, seconds: float | None = None) -> Any:
        """What the process sends next. Raises EOFError if it ended, TimeoutError if it is late."""
        if not self.connection.poll(seconds):
            raise TimeoutError(f"no answer within {seconds} s")
        return self.connection.recv()

    def send(self, message: Any) -> None:
        """Send it, if the process is still there."""
        with contextlib.suppress(BrokenPipeError):
            self.connection.send(message)

    def printed(self) -> str:
        """What it has printed so far."""
        return Path(self._printed).read_text(errors="replace")

    def end(self) -> None:
        """Kill the process, if there is need, and leave nothing of it."""
        self.process.kill()
        self.process.join(_SECONDS)
        self.connection.close()
        Path(self._printed).unlink(missing_ok=True)


@cache
def _server() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["piecewise_conformance.isolation.preloaded"])
    with mock.patch.dict(os.environ, PYTHONHASHSEED="1"):
        multiprocessing.forkserver.ensure_running()
    return context


def start() -> None:
    """Start the fork server now, for processes that are going to be forked off this one."""
    _server()


def use_in_fork() -> None:
    """Use the fork server that the process which forked this one has started.

    multiprocessing expects the server to be a child of this process, and here it is not.
    """
    server: Any = multiprocessing.forkserver._forkserver  # type: ignore[attr-defined]
    server.ensure_running = lambda: None


def _serve(
    environment: dict[str, str],
    folder: str,
    path: list[str],
    printed: str,
    connection: Connection,
    function: str,
    args: tuple[Any, ...],
) -> None:
    """In the process: be where the one is that wants it, and do what is wanted."""
    with open(printed, "ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.path[:] = path
    module, _, name = function.partition(":")
    getattr(importlib.import_module(module), name)(connection, *args)
