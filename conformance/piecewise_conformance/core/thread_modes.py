"""Torch's modes of a thread: grad mode, autocast. A call must leave them as the program does.

They decide what every op after them does, in the program that a subject is compared with as well:
what one call left behind would be right ever after. So each call starts where the first one did.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

_DEVICE = "cpu"


def _nesting() -> int:
    depth = torch.autocast_increment_nesting()
    torch.autocast_decrement_nesting()
    return depth - 1


def now() -> dict[str, Any]:
    """The modes as they are, by what they are called in a message."""
    return {
        "grad mode": torch.is_grad_enabled(),
        "inference mode": torch.is_inference_mode_enabled(),  # which only its handle can end
        "autocast": torch.is_autocast_enabled(_DEVICE),
        "autocast's dtype": torch.get_autocast_dtype(_DEVICE),
        "the depth of autocast regions": _nesting(),
    }


def put_back(before: dict[str, Any]) -> None:
    """Make the modes what they were ``before``; regions of autocast that were left open end."""
    torch.set_grad_enabled(before["grad mode"])
    torch.set_autocast_enabled(_DEVICE, before["autocast"])
    torch.set_autocast_dtype(_DEVICE, before["autocast's dtype"])
    while _nesting() > before["the depth of autocast regions"]:
        if torch.autocast_decrement_nesting() == 0:
            torch.clear_autocast_cache()  # as leaving the outermost region does


@contextmanager
def kept() -> Iterator[dict[str, Any]]:
    """The modes are put back at the end. Yields a dict that then holds what they were until then;
    it stays empty if the call raised.
    """
    before, afterwards = now(), dict[str, Any]()
    try:
        yield afterwards
        afterwards.update(now())
    finally:
        put_back(before)
