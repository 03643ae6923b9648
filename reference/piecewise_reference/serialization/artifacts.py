"""``StandaloneCompiledArtifacts``: the artifacts of all pieces, each content once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator


class StandaloneCompiledArtifacts:
    """Maps a piece and the text of a range to the bytes of an artifact.

    Layers that compile to the same bytes share them. Seed: ``StandaloneCompiledArtifacts``.
    """

    def __init__(self) -> None:
        self.entries: dict[tuple[str, str], str] = {}  # (piece, range) -> digest
        self.contents: dict[str, bytes] = {}  # digest -> bytes

    def insert(self, submod_name: str, range_text: str, data: bytes) -> None:
        """Keep ``data`` for the piece ``submod_name`` and the range."""
        digest = hashlib.sha256(data).hexdigest()
        self.entries[submod_name, range_text] = digest
        self.contents[digest] = data

    def get(self, submod_name: str, range_text: str) -> bytes:
        """What was kept; KeyError if nothing was."""
        return self.contents[self.entries[submod_name, range_text]]

    def of_piece(self, submod_name: str) -> dict[str, bytes]:
        """All that was kept for one piece, by the text of the range."""
        return {text: data for name, text, data in self if name == submod_name}

    def __iter__(self) -> Iterator[tuple[str, str, bytes]]:
        for (name, text), digest in self.entries.items():
            yield name, text, self.contents[digest]

    def num_entries(self) -> int:
        """How many pairs of a piece and a range there are."""
        return len(self.entries)

    def num_artifacts(self) -> int:
        """How many distinct artifacts there are."""
        return len(self.contents)

    def size_bytes(self) -> int:
        """Bytes of the distinct artifacts."""
        return sum(map(len, self.contents.values()))
