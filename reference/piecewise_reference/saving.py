"""Save a compiled function as bytes or in a file, and load it in another process.

The saved parts are the captured graph, its traced inputs, and the artifacts of its pieces. Loading
splits the graph again, which takes milliseconds, and gives the artifacts to the pieces. The pieces
are therefore assembled by the same code, whether they are compiled or loaded.
"""

from __future__ import annotations

import json
import logging
import platform

import torch
from torch._guards import TracingContext, tracing
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.symbolic_shapes import ShapeEnv

from .backend import VllmBackend
from .cache.cache_file import write_atomically
from .config.vllm_config import VllmConfig
from .serialization.artifacts import StandaloneCompiledArtifacts
from .serialization.function import VllmSerializableFunction
from .serialization.manifest import Unusable, pack, unpack

logger = logging.getLogger(__name__)

_GRAPH = "graph"  # the part that is not an artifact


def serialize_compile_artifacts(function: VllmSerializableFunction) -> bytes:
    """Serialize ``function``. Raises RuntimeError if its graph cannot be pickled."""
    from .serialization.graph_bytes import graph_to_bytes  # imports Inductor: seconds

    backend = function.vllm_backend
    if backend is None:
        raise RuntimeError("this function was not made by a backend: there is nothing to keep")
    try:
        parts = {_GRAPH: graph_to_bytes(function.graph_module, function.example_inputs)}
    except Exception as error:  # pickling runs code of the objects in the graph
        raise RuntimeError(f"the graph of {function.prefix!r} cannot be kept: {error}") from error
    artifacts, _, _ = backend.collect_standalone_compile_artifacts()
    for name, range_text, data in artifacts or ():
        parts[json.dumps([name, range_text])] = data
    facts = {
        "prefix": function.prefix,
        "is_encoder": function.is_encoder,
        "made_by": _made_by(backend),
    }
    return pack(facts, parts)


def deserialize_compile_artifacts(data: bytes, vllm_config: VllmConfig) -> VllmSerializableFunction:
    """Deserialize the function in ``data`` without compiling again.

    Raises Unusable, a ValueError, if ``data`` is truncated or altered, or was written by another
    torch, Python, compiler, code or configuration.
    """
    from .serialization.graph_bytes import graph_from_bytes  # imports Inductor: seconds

    facts, parts = unpack(data)
    backend = VllmBackend(vllm_config, facts["prefix"])
    backend.is_encoder = facts["is_encoder"]  # whatever tag is in force where it is read
    if (now := _made_by(backend)) != facts["made_by"]:
        changed = [name for name, value in now.items() if facts["made_by"].get(name) != value]
        raise Unusable(f"it was made with another {', '.join(changed)}")
    fake_mode = FakeTensorMode(shape_env=ShapeEnv())
    # the digests match: a process of the same user wrote these bytes
    graph, inputs = graph_from_bytes(parts.pop(_GRAPH), fake_mode)
    artifacts = StandaloneCompiledArtifacts()
    for key, content in parts.items():
        name, range_text = json.loads(key)
        artifacts.insert(name, range_text, content)
    with tracing(TracingContext(fake_mode)):
        function = backend(graph, inputs)
    backend.take_artifacts(artifacts)
    return function


def _made_by(backend: VllmBackend) -> dict[str, str]:
    """Everything that a saved function and a backend must have in common."""
    factors = backend.factors()
    return {
        "torch": torch.__version__,
        "Python": platform.python_version(),
        "configuration": factors.config_hash,
        "code": factors.code_hash,
        "compiler": factors.compiler_hash,
        "environment": json.dumps(factors.environment, sort_keys=True),
    }


def save_function(function: VllmSerializableFunction, path: str) -> None:
    """Write ``function`` atomically to the file ``path``. Raises OSError or RuntimeError."""
    write_atomically(path, serialize_compile_artifacts(function))


def load_function(path: str, vllm_config: VllmConfig) -> VllmSerializableFunction | None:
    """Load the function in the file ``path``; None, with a warning, if it is missing or invalid."""
    try:
        with open(path, "rb") as file:
            data = file.read()
        return deserialize_compile_artifacts(data, vllm_config)
    except (OSError, Unusable) as error:
        logger.warning("No function is taken from %s: %s", path, error)
    except Exception as error:
        # The bytes are intact, but torch cannot load them: compile again.
        logger.warning("The function in %s cannot be loaded: %r", path, error)
    return None
