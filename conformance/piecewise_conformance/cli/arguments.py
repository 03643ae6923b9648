"""The types of arguments."""

from __future__ import annotations

import argparse
import math


def positive(text: str) -> int:
    """A number of at least 1."""
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(
            f"{text} is too small; expected a whole number of at least 1"
        )
    return number


def seconds(text: str) -> float:
    """A finite positive number."""
    number = float(text)
    if not (0 < number < math.inf):
        raise argparse.ArgumentTypeError(f"{text} is not a positive, finite number of seconds")
    return number


def seed_range(text: str) -> tuple[int, int]:
    """Two numbers of programs, as in ``1000-2000``: the first, and the one after the last."""
    first, dash, end = text.partition("-")
    if not (dash and first.isdecimal() and end.isdecimal() and int(first) < int(end)):
        raise argparse.ArgumentTypeError("must be a range such as 1000-2000")
    return int(first), int(end)
