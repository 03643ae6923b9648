"""The cache folder of a backend, and the files in it that are meant for people.

``<root>/torch_compile_cache/<hash>/rank_<rank>_<data parallel rank>/<prefix>/`` contains the
cache file, the artifacts, ``computation_graph.py`` and ``cache_key_factors.json``.
"""

from __future__ import annotations

import json
import logging
import os
from dataclasses import dataclass
from typing import Any

from torch import fx

from .. import env
from ..config.vllm_config import VllmConfig
from ..hashing import code_digest, digest
from .cache_file import write_atomically

logger = logging.getLogger(__name__)

_HASH_LENGTH = 10  # hex digits: enough to tell configs apart, short enough to read


@dataclass(frozen=True)
class Factors:
    """The four factors of the cache folder's name; ``environment`` is readable, the others are
    hashes.
    """

    environment: dict[str, str]
    config_hash: str
    code_hash: str
    compiler_hash: str

    def folder_name(self) -> str:
        """A short name for all four factors."""
        parts = (digest(self.environment), self.config_hash, self.code_hash, self.compiler_hash)
        return digest(*parts)[:_HASH_LENGTH]


def gather(vllm_config: VllmConfig, compiler_hash: str) -> Factors:
    """The current factors."""
    return Factors(
        environment=env.compile_factors(),
        config_hash=vllm_config.compute_hash(),
        code_hash=code_digest(vllm_config.compilation_config.traced_files),
        compiler_hash=compiler_hash,
    )


def create(vllm_config: VllmConfig, factors: Factors, prefix: str) -> str:
    """Create and return the folder for this process and model. Raises OSError."""
    base = vllm_config.compilation_config.cache_dir or os.path.join(
        env.cache_root(), "torch_compile_cache", factors.folder_name()
    )
    parallel = vllm_config.parallel_config
    # absolute: the working directory may change before the last range is compiled
    base = os.path.abspath(base)
    folder = os.path.join(base, f"rank_{parallel.rank}_{parallel.data_parallel_index}", prefix)
    os.makedirs(folder, exist_ok=True)
    return folder


def _write_once(folder: str, name: str, text: str) -> None:
    """Write a file for people unless it exists. A failure is logged and ignored."""
    path = os.path.join(folder, name)
    if os.path.exists(path):
        return
    try:
        write_atomically(path, text)
    except OSError as error:
        logger.warning("Cannot write %s, which only people read: %s", path, error)


def write_factors(folder: str, factors: Factors) -> None:
    """Write ``cache_key_factors.json``, which explains the name of the folder."""
    text: dict[str, Any] = {
        "env": factors.environment,
        "config_hash": factors.config_hash,
        "code_hash": factors.code_hash,
        "compiler_hash": factors.compiler_hash,
    }
    _write_once(folder, "cache_key_factors.json", json.dumps(text, indent=2, sort_keys=True))


def write_graph(folder: str, split_gm: fx.GraphModule) -> None:
    """Write ``computation_graph.py``: the split graph and its pieces as readable Python."""
    if os.path.exists(os.path.join(folder, "computation_graph.py")):
        return  # printing takes as long as the rest of a warm start's work on the graph
    source = split_gm.print_readable(print_output=False)
    header = "from __future__ import annotations\nimport torch\n"
    _write_once(folder, "computation_graph.py", header + source.replace("<lambda>", "GraphModule"))
