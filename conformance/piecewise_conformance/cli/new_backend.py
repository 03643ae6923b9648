"""The adapter that ``new-backend`` writes: it works as it is, and is to be changed step by step."""

from __future__ import annotations

from pathlib import Path

from ..reporting.report import ReportError

_ADAPTER = '''\
"""The backend under test, as piecewise-conformance sees it.

It works as it is, with a backend that returns the graph itself. Replace that by your own backend,
then offer more of the names in docs/subjects.md. Requirements of names that are missing here are
reported as `unsupported`.

    python -m piecewise_conformance run --profile smoke --backend {name}
"""

from typing import Any

# The options that your backend understands; tests that need others are `unsupported`.
# Yours may add "splitting", "inductor", "compile-ranges", "cache", "cudagraphs" and more.
ABILITIES = ("eager",)


def make_backend(options: Any) -> Any:
    """A torch.compile backend: a function (graph, example_inputs) -> callable.

    `options` is a piecewise_conformance.core.options.Options. Raise NotImplementedError for options
    that your backend does not support.
    """
    if options.splitting_ops and "splitting" in ABILITIES:
        raise NotImplementedError("pass options.splitting_ops to your backend")

    def backend(graph: Any, example_inputs: Any) -> Any:
        return graph  # e.g. MyBackend(config)(graph, example_inputs)

    return backend


# More parts of your backend; each one has its own requirements:
#
# from my_project import split_graph           # (graph, splitting_ops) -> (split graph, items)
# from my_project import make_copy_and_call    # (indices, buffers, callable) -> callable
'''


def write_adapter(path: Path) -> None:
    """Write the adapter to ``path``; ReportError if a file is there, which is never overwritten."""
    text = _ADAPTER.format(name=path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise ReportError(
            f"{path} already exists; choose another path or delete the file"
        ) from error
