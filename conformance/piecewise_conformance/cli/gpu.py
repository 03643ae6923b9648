"""What the decoder does on a GPU, in figures: ``python -m piecewise_conformance.cli.gpu``.

For each type and each way to run it: right or not, captures, replays, and memory that graphs keep.
A requirement judges each of these too; here is what was measured beside the verdict.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import torch

from ..core import environment
from ..core.boundary import whose
from ..core.verdict import NotRun, Unsupported, Violation
from ..reporting.report import CONFORMANT, INCOMPLETE, NOT_CONFORMANT
from ..subject.loading import load_subject
from ..subject.subject import Subject
from ..testkit.cudagraphs import llama_graphs
from ..testkit.cudagraphs.llama_graphs import Figures
from ..testkit.models.llama import decoder, run_decoder

DTYPES = (torch.float32, torch.float16, torch.bfloat16)
SIZES = (7, 2, 33)

Way = Callable[[Subject, str, torch.dtype], Figures | None]


def _eager(subject: Subject, device: str, dtype: torch.dtype) -> None:
    run_decoder(subject, decoder(dtype, device=device), SIZES)


def _inductor(subject: Subject, device: str, dtype: torch.dtype) -> None:
    run_decoder(subject, decoder(dtype, device=device), SIZES, compiler="inductor")


# name: (what it needs besides the device, what is run)
WAYS: dict[str, tuple[tuple[str, ...], Way]] = {
    "piecewise eager": ((), _eager),
    "piecewise Inductor": (("inductor",), _inductor),
    "piecewise CUDA graphs": ((), llama_graphs.piecewise),
    "full CUDA graph": ((), llama_graphs.whole),
}


def lines(subject: Subject, device: str) -> tuple[list[str], int]:
    """A line for each type and way, and the exit status for all of them."""
    found: list[str] = []
    statuses: list[str] = []
    for dtype in DTYPES:
        for name, (needs, way) in WAYS.items():
            status, more = _status(subject, device, dtype, needs, way)
            statuses.append(status)
            found.append(f"{str(dtype).removeprefix('torch.'):9} {name}: {status}{more}")
    if "fail" in statuses:
        return found, NOT_CONFORMANT
    return found, CONFORMANT if "pass" in statuses else INCOMPLETE


def _status(
    subject: Subject, device: str, dtype: torch.dtype, needs: tuple[str, ...], way: Way
) -> tuple[str, str]:
    for name in ("gpu", "transformers", *needs) if device == "cuda" else ("transformers", *needs):
        if (reason := environment.missing(name)) is not None:
            return "not-run", f": {reason}"
    torch._dynamo.reset()
    try:
        figures = way(subject, device, dtype)
    except Violation as error:
        return "fail", f": {error.message}"
    except NotRun as error:
        return "not-run", f": {error}"
    except Unsupported as error:
        return "unsupported", f": {error}"
    except Exception as error:
        if whose(error) is None:
            raise
        return "fail", f": {type(error).__name__}: {str(error)[:300]}"
    if figures is None:
        return "pass", ""
    return "pass", (
        f" ({figures.captures} graphs captured, {figures.replays} replayed, "
        f"{figures.reserved / 2**20:.1f} MiB in pools)"
    )


def main(arguments: list[str] | None = None) -> int:
    """Print the lines for the backend that is named, by default the reference."""
    given = sys.argv[1:] if arguments is None else arguments
    found, status = lines(load_subject(given[0] if given else "reference"), "cuda")
    print("\n".join(found))
    return status


if __name__ == "__main__":
    sys.exit(main())
