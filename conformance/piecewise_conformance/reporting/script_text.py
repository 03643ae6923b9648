"""Where the part of a repro script that a person reads ends."""

FILES = "# --- What this needs of piecewise-conformance: unpacked from here by _unpack ---"


def readable(script: str) -> str:
    """``script`` without the files that it unpacks."""
    return script.partition(FILES)[0].rstrip() + "\n"
