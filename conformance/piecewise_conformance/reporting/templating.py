"""Render Jinja2 templates: Python prepares the data, a template lays it out."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ..core.tracebacks import unfolded


@cache
def _environment(folder: Path) -> Environment:
    # Reports hold text of the backend under test, so that HTML has every value escaped.
    made = Environment(
        loader=FileSystemLoader(folder),
        autoescape=lambda name: name is None or not name.endswith(".md.j2"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters["unfolded"] = unfolded
    return made


def render(template: Path, **data: object) -> str:
    """Return the text of the template file ``template``, filled with ``data``."""
    return _environment(template.parent).get_template(template.name).render(data)
