"""docs/seed.md has every name of the seed, and what it says of it is so."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import textwrap
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import piecewise_reference
import pytest
from piecewise_conformance.core import requirements

DOCUMENT = Path(__file__).parents[2] / "docs" / "seed.md"

# Extracted once from the page of vllm.compilation.backends, vLLM 0.15.0.
PAGE = """
_on_compilation_complete_callback
compilation_start_time
logger
model_is_encoder
model_tag
CompilerManager
CompilerManager.cache
CompilerManager.compilation_config
CompilerManager.compiler
CompilerManager.is_cache_updated
CompilerManager.__init__
CompilerManager.compile
CompilerManager.compile_context
CompilerManager.compute_hash
CompilerManager.initialize_cache
CompilerManager.load
CompilerManager.save_to_file
PiecewiseCompileInterpreter
PiecewiseCompileInterpreter.compilation_config
PiecewiseCompileInterpreter.compile_submod_names
PiecewiseCompileInterpreter.extra_traceback
PiecewiseCompileInterpreter.fake_mode
PiecewiseCompileInterpreter.vllm_backend
PiecewiseCompileInterpreter.vllm_config
PiecewiseCompileInterpreter.__init__
PiecewiseCompileInterpreter.call_module
PiecewiseCompileInterpreter.run
SplitItem
SplitItem.graph
SplitItem.graph_id
SplitItem.is_splitting_graph
SplitItem.submod_name
SplitItem.__init__
VllmBackend
VllmBackend._called
VllmBackend.compilation_config
VllmBackend.compiler_manager
VllmBackend.graph
VllmBackend.inductor_config
VllmBackend.is_encoder
VllmBackend.pass_key
VllmBackend.pass_manager
VllmBackend.piecewise_graphs
VllmBackend.post_grad_passes
VllmBackend.prefix
VllmBackend.returned_callable
VllmBackend.split_gm
VllmBackend.vllm_config
VllmBackend.__call__
VllmBackend.__init__
VllmBackend.collect_standalone_compile_artifacts
VllmBackend.configure_post_pass
make_compiler
make_copy_and_call
set_model_tag
set_on_compilation_complete
split_graph
wrap_with_cudagraph_if_needed
"""

# What the page calls and does not show.
CONTEXT = """
Range
Range.is_single_size
vllm_compile_cache.py
compile ranges
PiecewiseBackend
PiecewiseBackend.is_first_graph
PiecewiseBackend.is_last_graph
PiecewiseBackend.is_full_graph
PiecewiseBackend.sym_shape_indices
PiecewiseBackend.returns_tuple
PiecewiseBackend.to_bytes
CompilerInterface
CompilerInterface.name
CompilerInterface.initialize_cache
CompilerInterface.compute_hash
CompilerInterface.compile
CompilerInterface.load
eager adaptor
inductor standalone adaptor
inductor adaptor
custom compiler
CUDAGraphMode
CUDAGraphMode.has_piecewise_cudagraphs
CUDAGraphMode.has_full_cudagraphs
CUDAGraphMode.separate_routine
static-graph wrapper
static-graph options
forward context
batch descriptor
CompilationConfig
CompilationConfig.mode
CompilationConfig.backend
CompilationConfig.splitting_ops
CompilationConfig.compile_sizes
CompilationConfig.compile_ranges_endpoints
CompilationConfig.cudagraph_mode
CompilationConfig.cudagraph_copy_inputs
CompilationConfig.cudagraph_capture_sizes
CompilationConfig.use_inductor_graph_partition
CompilationConfig.inductor_compile_config
CompilationConfig.pass_config
CompilationConfig.dynamic_shapes_config
CompilationConfig.compile_cache_save_format
CompilationConfig.cache_dir
CompilationConfig.local_cache_dir
CompilationConfig.traced_files
CompilationConfig.compilation_time
CompilationConfig.compute_hash
DynamicShapesConfig.type
DynamicShapesConfig.evaluate_guards
ParallelConfig.rank
ParallelConfig.data_parallel_index
cache root
disable-compile-cache
use-standalone-compile
use-mega-AOT-artifact
inductor pass
post-grad pass manager
pass_context
partition rules
serializable function
standalone artifacts
standalone artifacts: insert
standalone artifacts: num_entries
standalone artifacts: num_artifacts
standalone artifacts: size_bytes
graphs seen
piecewise graphs seen
piecewise capturable graphs seen
backend compilations
inductor compiles
eager compiles
cache entries updated
artifacts saved
artifacts loaded
static graphs captured
should_split
"""


def rows() -> dict[str, list[str]]:
    """The cells of each row, without backquotes, by the name of the seed."""
    found: dict[str, list[str]] = {}
    for line in DOCUMENT.read_text().splitlines():
        if line.startswith("|") and not line.startswith(("| name", "|---")):
            cells = [cell.strip().replace("`", "") for cell in line.strip("|").split("|")]
            assert len(cells) == 4, line
            assert cells[0] not in found, f"two rows for {cells[0]}"
            found[cells[0]] = cells
    return found


def instance_attributes(cls: type) -> set[str]:
    """What the instances of ``cls`` have: annotated in it, or set in its methods."""
    names: set[str] = set()
    for base in cls.__mro__:
        names |= set(inspect.get_annotations(base))
    for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(cls)))):
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.ctx, ast.Store)
            and isinstance(node.value, ast.Name)
            and node.value.id == "self"
        ):
            names.add(node.attr)
    return names


def resolve(path: str) -> None:
    """AssertionError unless ``path``, module and attributes, leads to something."""
    value: Any = piecewise_reference
    attributes = path.split(".")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of torch's own modules
        while attributes and find_spec(module := f"{value.__name__}.{attributes[0]}"):
            value = importlib.import_module(module)
            attributes.pop(0)
            if not hasattr(value, "__path__"):
                break
    assert attributes, f"{path} is a module only"
    for number, name in enumerate(attributes, 1):
        if hasattr(value, name):
            value = getattr(value, name)
            continue
        assert isinstance(value, type), f"no {name} in {path}"
        assert name in instance_attributes(value), f"no {name} in {path}"
        assert number == len(attributes), f"nothing is known of what {name} is in {path}"


def test_every_name_has_a_row() -> None:
    """No name of the seed is missing, and no row is about something else."""
    assert set(rows()) == set((PAGE + CONTEXT).split("\n")) - {""}


@pytest.mark.parametrize("cells", rows().values(), ids=rows().keys())
def test_row(cells: list[str]) -> None:
    """The path leads somewhere, and the requirements are in the spec and not retired."""
    _, path, covered, deviation = cells
    resolve(path)
    known = {each.id for each in requirements.load().values() if each.retired is None}
    assert covered == "–" or set(re.split(r", ", covered)) <= known, covered
    assert deviation


@pytest.mark.parametrize("path", ["backend.NoSuch", "ranges.Range.middle", "ranges"])
def test_a_wrong_path_is_noticed(path: str) -> None:
    """The check of paths can fail."""
    with pytest.raises(AssertionError):
        resolve(path)
