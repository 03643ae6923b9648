"""``StandaloneCompiledArtifacts``: the artifacts of all pieces, each content stored once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator


class StandaloneCompiledArtifacts:
    """Map a piece and the text of a range to the bytes of an artifact.

    Layers that compile to the same bytes share one copy. Seed: ``StandaloneCompiledArtifacts``.
    """

    def __init__(self) -> None:
        self.entries: dict[tuple[str, str], str] = {}  # (piece, range) -> digest
        self.contents: dict[str, bytes] = {}  # digest -> bytes

    def insert(self, submod_name: str, range_text: str, data: bytes) -> None:
        """Store ``data`` for the piece ``submod_name`` and the range."""
        digest = hashlib.sha256(data).hexdigest()
        self.entries[submod_name, range_text] = digest
        self.contents[digest] = data

    def get(self, submod_name: str, range_text: str) -> bytes:
        """The stored bytes; raises KeyError if there are none."""
        return self.contents[self.entries[submod_name, range_text]]

    def of_piece(self, submod_name: str) -> dict[str, bytes]:
        """The artifacts of one piece, by the text of the range."""
        return {text: data for name, text, data in self if name == submod_name}

    def __iter__(self) -> Iterator[tuple[str, str, bytes]]:
        for (name, text), digest in self.entries.items():
            yield name, text, self.contents[digest]

    def num_entries(self) -> int:
        """The number of pairs of a piece and a range."""
        return len(self.entries)

    def num_artifacts(self) -> int:
        """The number of distinct artifacts."""
        return len(self.contents)

    def size_bytes(self) -> int:
        """The total size of the distinct artifacts, in bytes."""
        return sum(map(len, self.contents.values()))
