"""The layers of torch that a piecewise compile passes through, and which code is of which layer."""

from __future__ import annotations

DYNAMO = "Dynamo"
FX = "FX"
AOTAUTOGRAD = "AOTAutograd"
INDUCTOR = "Inductor"
CUDA_GRAPHS = "CUDA graphs"
REFERENCE = "reference"
SUBJECT = "subject"
UNKNOWN = "elsewhere"

# The longest prefix counts.
_PREFIXES = {
    "torch._dynamo": DYNAMO,
    "torch._guards": DYNAMO,
    "torch.compiler": DYNAMO,
    "torch.fx": FX,
    "torch._subclasses": FX,
    "torch.utils._sympy": FX,
    "torch._functorch": AOTAUTOGRAD,
    "torch._inductor": INDUCTOR,
    "torch.cuda": CUDA_GRAPHS,
    "piecewise_reference": REFERENCE,
}


def layer_of(name: str) -> str:
    """The layer of a module or of a name inside of one; UNKNOWN for the rest."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        if layer := _PREFIXES.get(".".join(parts[:end])):
            return layer
    return UNKNOWN


def layer_of_file(path: str) -> str:
    """The layer of the code in a file, which may be given with the folders around the package."""
    parts = path.replace("\\", "/").removesuffix(".py").split("/")
    for package in ("torch", "piecewise_reference"):
        if package in parts:
            at = len(parts) - 1 - parts[::-1].index(package)
            return layer_of(".".join(parts[at:]))
    return UNKNOWN
