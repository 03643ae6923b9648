"""The adapter that ``new-backend`` writes: it works as it is, and is to be changed step by step."""

from __future__ import annotations

from pathlib import Path

from ..reporting.report import ReportError

_ADAPTER = '''\
"""The backend under test, as piecewise-conformance sees it.

It runs as it stands, with a backend that returns the graph itself. Put your own in its place, then
offer more of the names in docs/subjects.md: what is not offered is `unsupported`, and shown.

    python -m piecewise_conformance run --profile smoke --backend {name}
"""

from typing import Any

# Which options your backend understands; of the others the harness asks nothing.
# Yours may add "splitting", "inductor", "compile-ranges", "cache", "cudagraphs" and more.
ABILITIES = ("eager",)


def make_backend(options: Any) -> Any:
    """A torch.compile backend: a function (graph, example_inputs) -> callable.

    `options` is a piecewise_conformance.core.options.Options. Raise NotImplementedError for options
    that your backend does not support.
    """
    if options.splitting_ops and "splitting" in ABILITIES:
        raise NotImplementedError("give options.splitting_ops to your backend")

    def backend(graph: Any, example_inputs: Any) -> Any:
        return graph  # e.g. MyBackend(config)(graph, example_inputs)

    return backend


# More of your backend's parts, each of which is judged by its own requirements:
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
        raise ReportError(f"{path} is there already") from error
