"""Which part of a model is being built.

The tag is a context variable: it is restored also when the body raises, and threads do not see
each other's.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True)
class ModelTag:
    """Which model is being built; ``tag`` names its folder of the cache."""

    tag: str = "backbone"
    is_encoder: bool = False


_model_tag: ContextVar[ModelTag | None] = ContextVar("model_tag", default=None)


def current_model_tag() -> ModelTag:
    """The tag in force. Seed: ``model_tag`` and ``model_is_encoder``."""
    return _model_tag.get() or ModelTag()


@contextmanager
def set_model_tag(tag: str, is_encoder: bool = False) -> Iterator[None]:
    """Backends made inside get the prefix ``tag`` unless they are given one.

    Two parts of a model that are compiled under one tag would share a cache folder, so that to
    set the tag that is already in force is a ValueError. Seed: ``set_model_tag``.
    """
    current = current_model_tag()
    if not tag:
        raise ValueError("the model tag is empty: name the part of the model, such as eagle_head")
    if tag == current.tag:
        raise ValueError(
            f"the model tag is {tag!r} already: give this part of the model a tag of its own"
        )
    token = _model_tag.set(ModelTag(tag, is_encoder))
    try:
        yield
    finally:
        _model_tag.reset(token)
