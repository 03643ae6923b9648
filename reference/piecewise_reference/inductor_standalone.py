"""Inductor through ``torch._inductor.standalone_compile``, with artifacts that can be saved."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import tempfile
from collections.abc import Sequence
from typing import Any

import torch
import torch._inductor
from torch import fx
from torch._inductor.standalone_compile import CompiledArtifact
from torch.utils import _pytree as pytree

from .compiler_interface import CompilerInterface, Runnable
from .config import VllmConfig
from .hashing import digest
from .ranges import Range

logger = logging.getLogger(__name__)


def _flat_outputs(graph: fx.GraphModule) -> tuple[fx.GraphModule, pytree.TreeSpec]:
    """``graph`` with its outputs as one flat tuple, and the structure that they had.

    Inductor's callables wrap and unwrap single outputs differently when fresh and when loaded,
    and from release to release. A flat tuple is what all agree on; the structure is put back
    here, in the same way for both.
    """
    flat = fx.Graph()
    output = flat.graph_copy(graph.graph, {})
    leaves, spec = pytree.tree_flatten(output)
    flat.output(tuple(leaves))
    return fx.GraphModule(graph, flat), spec


def _with_structure(compiled: Runnable, spec: pytree.TreeSpec) -> Runnable:
    plain_tuple = spec == pytree.tree_structure(tuple(range(spec.num_leaves)))

    def call(*args: Any) -> Any:
        outputs = compiled(*args)
        # graphs from the splitter return plain tuples: they pay for no tree
        return tuple(outputs) if plain_tuple else pytree.tree_unflatten(outputs, spec)

    return call


def _content_digest(path: str) -> str:
    """SHA-256 of an artifact: of the file, or of the names and contents of the folder's files."""
    content = hashlib.sha256()
    files = [path]
    if os.path.isdir(path):
        files = [os.path.join(root, name) for root, _, names in os.walk(path) for name in names]
    for file in sorted(files):
        content.update(os.path.relpath(file, path).encode())
        with open(file, "rb") as opened:
            content.update(hashlib.sha256(opened.read()).digest())
    return content.hexdigest()


class InductorStandaloneAdaptor(CompilerInterface):
    """Compiles with Inductor; a handle is ``(key, path)``, the path relative to the cache folder.

    The path ends in the digest of the artifact's content. What has another content than its name
    says is not what was saved, and is not unpickled.
    """

    name = "inductor_standalone"

    def __init__(self, save_format: str = "binary") -> None:
        self.save_format = save_format
        self.cache_dir: str | None = None

    def initialize_cache(
        self, cache_dir: str, disable_cache: bool = False, prefix: str = ""
    ) -> None:
        """Artifacts go into ``cache_dir``, unless the cache is off."""
        self.cache_dir = None if disable_cache else cache_dir

    def compute_hash(self, vllm_config: VllmConfig) -> str:
        """Inductor's own view of its version, of torch's and of the machine's."""
        from torch._inductor.codecache import CacheBase, torch_key

        return digest(self.name, torch.__version__, torch_key(), CacheBase.get_system())

    def compile(
        self,
        graph: fx.GraphModule,
        example_inputs: list[Any],
        compiler_config: dict[str, Any],
        compile_range: Range,
        key: str | None = None,
    ) -> tuple[Runnable | None, Any]:
        """Compile and save. A single size takes its shapes from ``example_inputs`` as constants,
        a range takes symbols from the tracing context, which the caller has entered.
        """
        flat, spec = _flat_outputs(graph)
        artifact = torch._inductor.standalone_compile(
            flat,
            example_inputs,
            dynamic_shapes="from_example_inputs"
            if compile_range.is_single_size()
            else "from_tracing_context",
            options={"config_patches": dict(compiler_config)},
        )
        return _with_structure(artifact, spec), self._save(artifact, key)

    def _save(self, artifact: Any, key: str | None) -> tuple[str, str] | None:
        if self.cache_dir is None or key is None:
            return None
        folder = tempfile.mkdtemp(prefix=".saving-", dir=self.cache_dir)
        try:
            temporary = os.path.join(folder, "artifact")
            artifact.save(path=temporary, format=self.save_format)
            name = f"{key}-{_content_digest(temporary)[:32]}"
            target = os.path.join(self.cache_dir, name)
            if not os.path.exists(target):  # an equal name has equal content
                os.replace(temporary, target)
        except (RuntimeError, AssertionError, OSError) as error:
            logger.warning("The artifact %s cannot be saved, and is compiled anew: %s", key, error)
            return None
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return key, name

    def load(
        self,
        handle: Any,
        graph: fx.GraphModule,
        example_inputs: Sequence[Any],
        graph_index: int,
        compile_range: Range,
    ) -> Runnable:
        """The saved artifact. Raises ValueError for a handle or content that was not saved here."""
        key, name = handle
        if self.cache_dir is None or name != os.path.basename(name) or name.startswith("."):
            raise ValueError(f"{name!r} is no artifact of this cache folder")
        path = os.path.join(self.cache_dir, name)
        if name != f"{key}-{_content_digest(path)[:32]}":
            raise ValueError(f"the content of {path} is not what was saved")
        artifact = CompiledArtifact.load(
            path=path, format="unpacked" if os.path.isdir(path) else "binary"
        )
        return _with_structure(artifact, _flat_outputs(graph)[1])
