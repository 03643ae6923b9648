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
