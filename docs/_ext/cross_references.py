"""Turn IDs of requirements and threads such as ``vllm#28533`` into links, on every page.

Dotted names in tables also get places where a browser may break the line.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from docutils import nodes
from piecewise_conformance.core import requirements
from sphinx.transforms.post_transforms import SphinxPostTransform

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sphinx.application import Sphinx

_OWNERS = {
    "pytorch": "pytorch/pytorch",
    "sglang": "sgl-project/sglang",
    "vllm": "vllm-project/vllm",
    "vllm-ascend": "vllm-project/vllm-ascend",
    "TensorRT-LLM": "NVIDIA/TensorRT-LLM",
}
_PATTERN = re.compile(
    r"\b(?P<id>[A-Z]+-\d{3})\b"
    r"|(?<![\w/-])(?P<repository>[\w.-]+/[\w.-]+|" + "|".join(_OWNERS) + r")#(?P<number>\d+)\b"
)
_BREAK = re.compile(r"(?<=\w[._])(?=\w)")  # after a dot or an underscore inside a name
_AS_THEY_ARE = (nodes.reference, nodes.title, nodes.literal, nodes.literal_block, nodes.raw)


class Links(SphinxPostTransform):
    """Replaces each match in the text of a page, and breaks the names in its tables."""

    default_priority = 900

    def run(self, **kwargs: Any) -> None:
        """Change the document in place."""
        if self.app.builder.format != "html":
            return
        for text in list(self.document.findall(nodes.Text)):
            ancestor = text.parent
            while ancestor is not None and not isinstance(ancestor, _AS_THEY_ARE):
                ancestor = ancestor.parent
            if ancestor is None and _PATTERN.search(text):
                text.parent.replace(text, list(self.parts(str(text))))
        for entry in self.document.findall(nodes.entry):
            for code in entry.findall(nodes.literal):
                parts = [nodes.Text(part) for part in _BREAK.split(code.astext())]
                code.children = []
                code += parts[0]
                for part in parts[1:]:
                    code += [nodes.raw("", "<wbr>", format="html"), part]

    def parts(self, text: str) -> Iterator[nodes.Node]:
        """``text`` in pieces: plain text and links."""
        end = 0
        for match in _PATTERN.finditer(text):
            if (target := self.target(match)) is None:
                continue
            yield nodes.Text(text[end : match.start()])
            classes = ["requirement"] if match["id"] else []
            yield nodes.reference("", match[0], refuri=target, internal=True, classes=classes)
            end = match.end()
        yield nodes.Text(text[end:])

    def target(self, match: re.Match[str]) -> str | None:
        """The address for a match; None for what only looks like an ID."""
        if (id := match["id"]) is None:
            repository = _OWNERS.get(match["repository"], match["repository"])
            return f"https://github.com/{repository}/issues/{match['number']}"
        if id not in _known():
            return None
        page = f"requirements/{id.partition('-')[0]}"
        address = self.app.builder.get_relative_uri(self.env.docname, page)
        return f"{address}#{id.lower()}"


_ids: set[str] = set()


def _known() -> set[str]:
    if not _ids:
        _ids.update(requirements.load())
    return _ids


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the transform."""
    app.add_post_transform(Links)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
