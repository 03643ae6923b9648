"""An out-of-tree platform of vLLM, through which its parts run on a machine without a GPU.

vLLM finds it by its own plug-in mechanism, the entry-point group ``vllm.platform_plugins``. The
entry point exists only in processes that load the harness's vLLM adapter (``vllm_plugin.py``), so
an installed harness changes nothing for other uses of vLLM.

What a backend may be told by its platform, the harness tells by ``chosen``: the class of the
compiler, and the class of the static-graph wrapper.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

import torch
from vllm.platforms.interface import Platform, PlatformEnum

try:
    from vllm.compilation.passes import inductor_pass as inductor_pass  # for the adapter, too
except ImportError:  # where the seed's release has it
    from vllm.compilation import inductor_pass as inductor_pass


def register() -> str:
    """Return the platform's qualified name; vLLM calls this."""
    return f"{__name__}.HarnessPlatform"


@dataclass
class Chosen:
    """What the platform answers. Qualified names; ``compiler`` is of any class with the seed's
    interface, the wrapper vLLM's own, watched, unless a test has another one.
    """

    compiler: str = ""
    static_graph_wrapper: str = f"{__package__}.vllm.WatchedWrapper"


chosen = Chosen()


class HarnessPlatform(Platform):
    """Answers as a CPU would, and leaves every config as it was given."""

    _enum = PlatformEnum.OOT
    device_name = "cpu"
    device_type = "cpu"
    dispatch_key = "CPU"
    simple_compile_backend = "eager"
    pass_key = "post_grad_custom_post_pass"  # a setting of Inductor, no password

    @classmethod
    def check_and_update_config(cls, vllm_config: Any) -> None:
        """Change nothing: what a test asked for is what it gets."""

    @classmethod
    def get_pass_manager_cls(cls) -> str:
        """A manager without vLLM's own passes, which name CUDA ops."""
        return f"{__name__}.OwnPasses"

    @classmethod
    def get_compile_backend(cls) -> str:
        """What vLLM resolves for a compiler that is not its own."""
        return f"{__name__}.chosen_compiler"

    @classmethod
    def get_static_graph_wrapper_cls(cls) -> str:
        """The class that pieces are wrapped in for capture."""
        return chosen.static_graph_wrapper

    @classmethod
    def support_static_graph_mode(cls) -> bool:
        """Modes that capture are allowed: whether anything is captured is the context's affair."""
        return True

    @classmethod
    def graph_pool_handle(cls) -> Any:
        """A pool of captured graphs, from whatever stands for CUDA."""
        return torch.cuda.graph_pool_handle() if torch.cuda.is_available() else (0, 0)

    @classmethod
    def get_device_name(cls, device_id: int = 0) -> str:
        """The one device."""
        return "cpu"

    @classmethod
    def is_pin_memory_available(cls) -> bool:
        """Memory is not pinned for a device that is not there."""
        return False


class OwnPasses(inductor_pass.InductorPass):  # type: ignore[misc]  # vLLM is not there to be checked against
    """Runs the passes that the user gave, in their order."""

    def __init__(self) -> None:
        self.passes: list[Any] = []

    def configure(self, config: Any) -> None:
        """There is nothing to configure."""

    def add(self, added: Any) -> None:
        """One more pass."""
        self.passes.append(added)

    def __call__(self, graph: Any) -> None:
        """Run them."""
        for each in self.passes:
            each(graph)

    def uuid(self) -> str:
        """Of the passes and of the range: Inductor has one cache for all ranges."""
        return repr(
            (
                [each.uuid() for each in self.passes],
                str(inductor_pass.get_pass_context().compile_range),
            )
        )


def side_stream() -> Any:
    """A stream for captures, for the default one cannot be captured, as vLLM makes it for CUDA."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    return stream


def chosen_compiler() -> Any:
    """An instance of the chosen class that vLLM takes for one of its own interface."""
    from vllm.compilation.compiler_interface import CompilerInterface

    module, _, name = chosen.compiler.rpartition(".")
    base = getattr(import_module(module), name)
    return type(name, (base, CompilerInterface), {"__module__": module})()
