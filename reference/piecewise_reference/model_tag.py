"""The tag of the part of a model that is being built.

It is a context variable, so it is restored after an exception and is separate for each thread.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True)
class ModelTag:
    """The part of a model that is being built. ``tag`` is the name of its cache folder."""

    tag: str = "backbone"
    is_encoder: bool = False


_model_tag: ContextVar[ModelTag | None] = ContextVar("model_tag", default=None)


def current_model_tag() -> ModelTag:
    """The current tag. Seed: ``model_tag`` and ``model_is_encoder``."""
    return _model_tag.get() or ModelTag()


@contextmanager
def set_model_tag(tag: str, is_encoder: bool = False) -> Iterator[None]:
    """A context in which new backends get the prefix ``tag`` unless they are given one.

    Two parts of a model with one tag would share a cache folder, so setting the current tag again
    raises ValueError. Seed: ``set_model_tag``.
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
