"""The markers that tests of the suite carry."""

from __future__ import annotations

import pytest


def requirement(id: str) -> pytest.MarkDecorator:
    """The requirement that a test judges. Each test has exactly one, given as a literal."""
    return pytest.mark.requirement(id)


def needs(*names: str) -> pytest.MarkDecorator:
    """What a test needs of the machine, by the names that :mod:`.environment` knows.

    Where one is missing the test is not run, and the report says which.
    """
    return pytest.mark.needs(*names)


slow = pytest.mark.slow
"""A test that takes seconds, as those do that need Inductor: the kill matrix uses it only for a
fault that no quicker test reaches."""


def together(name: str) -> pytest.MarkDecorator:
    """Slow tests of one name are given to one worker, in their order.

    They compile the same graphs with Inductor, which finds in its cache what the one before left.
    """
    return pytest.mark.together(name)
