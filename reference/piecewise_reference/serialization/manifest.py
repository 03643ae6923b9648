"""Several parts in one byte string, with a manifest that is verified before a part is read.

Layout: a line that names the format, a line with the SHA-256 of the manifest, the manifest as one
line of JSON (facts, and the name, size and SHA-256 of each part), then the parts. A reader
detects truncated, altered or foreign bytes before it unpickles anything.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

_FORMAT = b"piecewise-function 1"


class Unusable(ValueError):
    """The bytes are truncated or altered, or were written for something else."""


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def pack(facts: Mapping[str, Any], parts: Mapping[str, bytes]) -> bytes:
    """Combine ``parts`` and a manifest that also contains ``facts``, which must be JSON."""
    listed = [[name, len(data), _sha256(data)] for name, data in parts.items()]
    manifest = json.dumps({"facts": dict(facts), "parts": listed}, sort_keys=True).encode()
    head = [_FORMAT, _sha256(manifest).encode(), manifest, b""]
    return b"\n".join(head) + b"".join(parts.values())


def unpack(data: bytes) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return the facts and the parts; raises Unusable unless every byte is accounted for."""
    lines = data.split(b"\n", 3)
    if len(lines) != 4 or lines[0] != _FORMAT:
        raise Unusable(f"it does not begin with {_FORMAT.decode()!r}")
    _, expected, text, rest = lines
    if _sha256(text).encode() != expected:
        raise Unusable("its manifest is not the one that was written")
    manifest = json.loads(text)
    parts = {}
    for name, size, digest in manifest["parts"]:
        part, rest = rest[:size], rest[size:]
        if len(part) != size or _sha256(part) != digest:
            raise Unusable(f"its part {name!r} is not the one that was written")
        parts[name] = part
    if rest:
        raise Unusable(f"it has {len(rest)} bytes that no part accounts for")
    return manifest["facts"], parts
