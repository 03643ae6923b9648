"""Inductor through ``torch._inductor.standalone_compile``, with artifacts that can be saved."""

from __future__ import annotations

import io
import logging
import os
import tempfile
import zipfile
from collections.abc import Sequence
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

import torch
import torch._inductor
from torch import fx
from torch._inductor.standalone_compile import CompiledArtifact

from ...ranges import Range
from ..interface import Runnable
from .artifact_files import checked_path, keep
from .base import InductorBase, has_constant_shapes
from .flat_outputs import InductorRunnable, flatten_outputs, output_structure
from .shared_writes import writes_shared_memory
from .traced_floats import has_traced_floats

logger = logging.getLogger(__name__)

# The exceptions of Inductor for an artifact that cannot be saved.
_CANNOT_SAVE = (RuntimeError, AssertionError, OSError)


class InductorStandaloneAdaptor(InductorBase):
    """Compile with Inductor. A handle is ``(key, path)``; the path is relative to the cache folder.

    ``save_format`` is ``"binary"``, one file for each artifact, or ``"unpacked"``, a folder with
    readable generated code.
    """

    name = "inductor_standalone"
    shares_artifacts = True  # unlike the other adaptor, which compiles in order to load

    def __init__(self, save_format: str = "binary") -> None:
        self.save_format = save_format
        # loaded callables while a piece uses them: equal pieces share one artifact
        self._loaded: WeakValueDictionary[str, CompiledArtifact] = WeakValueDictionary()

    def compile(
        self,
        graph: fx.GraphModule,
        example_inputs: list[Any],
        compiler_config: dict[str, Any],
        compile_range: Range,
        key: str | None = None,
    ) -> tuple[Runnable | None, Any]:
        """Compile and save. For a single size, shapes are constants from ``example_inputs``.
        Otherwise symbols come from the tracing context, which the caller has entered.
        """
        if writes_shared_memory(graph, example_inputs) or has_traced_floats(graph):
            return graph, None  # uncompiled, like the eager compiler
        flat, spec = flatten_outputs(graph)
        artifact = torch._inductor.standalone_compile(
            flat,
            example_inputs,
            dynamic_shapes="from_example_inputs"
            if has_constant_shapes(example_inputs, compile_range)
            else "from_tracing_context",
            options={"config_patches": dict(compiler_config)},
        )
        runnable = InductorRunnable(artifact, spec, partial(_as_binary, artifact))
        return runnable, self._save(artifact, key)

    def _save(self, artifact: Any, key: str | None) -> tuple[str, str] | None:
        if self.cache_dir is None or key is None:
            return None
        try:
            return key, keep(
                self.cache_dir,
                key,
                lambda path: artifact.save(path=path, format=self.save_format),
            )
        except _CANNOT_SAVE as error:
            logger.warning("The artifact %s cannot be saved, and is compiled anew: %s", key, error)
            return None

    def load(
        self,
        handle: Any,
        graph: fx.GraphModule,
        example_inputs: Sequence[Any],
        graph_index: int,
        compile_range: Range,
    ) -> Runnable:
        """Load the artifact; raises ValueError for a handle or content that was not saved here."""
        path = checked_path(self.cache_dir, handle)
        artifact = self._loaded.get(path)
        if artifact is None:
            artifact = self._loaded[path] = _load(path)
        return InductorRunnable(artifact, output_structure(graph), partial(_read, path))

    def from_bytes(
        self,
        data: bytes,
        graph: fx.GraphModule,
        example_inputs: Sequence[Any],
        compile_range: Range,
    ) -> Runnable:
        """Load the artifact in ``data`` without compiling."""
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "artifact")
            if zipfile.is_zipfile(io.BytesIO(data)):
                with zipfile.ZipFile(io.BytesIO(data)) as archive:
                    archive.extractall(path)
            else:
                with open(path, "wb") as file:
                    file.write(data)
            return InductorRunnable(_load(path), output_structure(graph), lambda: data)


def _load(path: str) -> CompiledArtifact:
    return CompiledArtifact.load(path=path, format="unpacked" if os.path.isdir(path) else "binary")


def _as_binary(artifact: Any) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "artifact")
        try:
            artifact.save(path=path, format="binary")
        except AssertionError as error:  # more than one artifact
            raise RuntimeError(str(error)) from error
        return _read(path)


def _read(path: str) -> bytes:
    """Read a saved artifact as bytes: the file, or the folder as a zip archive."""
    if not os.path.isdir(path):
        with open(path, "rb") as file:
            return file.read()
    archived = io.BytesIO()
    with zipfile.ZipFile(archived, "w") as archive:
        for root, _, names in os.walk(path):
            for name in sorted(names):
                file_path = os.path.join(root, name)
                archive.write(file_path, os.path.relpath(file_path, path))
    return archived.getvalue()
