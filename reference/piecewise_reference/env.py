"""Every environment variable that the reference reads.

Each variable is declared here. Those that can change compiled code are part of the cache key. No
other module reads ``os.environ``.
"""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Variable:
    """One declared variable; ``changes_code`` puts its value into the cache key."""

    name: str
    default: str
    changes_code: bool

    def read(self) -> str:
        """The current value, which tests and users may change between backends."""
        return os.environ.get(self.name, self.default)

    def enabled(self) -> bool:
        """The value as a flag: ``1`` is on, ``0`` or empty is off; others raise ValueError."""
        value = self.read()
        if value not in ("0", "1", ""):
            raise ValueError(f"{self.name}={value!r} is no flag: set it to 0 or 1")
        return value == "1"


CACHE_ROOT = Variable("VLLM_CACHE_ROOT", os.path.join("~", ".cache", "vllm"), changes_code=False)
DISABLE_COMPILE_CACHE = Variable("VLLM_DISABLE_COMPILE_CACHE", "0", changes_code=False)
USE_STANDALONE_COMPILE = Variable("VLLM_USE_STANDALONE_COMPILE", "1", changes_code=True)
# Whether the serialized function contains the artifacts; does not affect the code.
USE_MEGA_AOT_ARTIFACT = Variable("VLLM_USE_MEGA_AOT_ARTIFACT", "0", changes_code=False)

DECLARED = (CACHE_ROOT, DISABLE_COMPILE_CACHE, USE_STANDALONE_COMPILE, USE_MEGA_AOT_ARTIFACT)


def cache_root() -> str:
    """The root folder of all caches."""
    return os.path.expanduser(CACHE_ROOT.read())


def compile_factors() -> dict[str, str]:
    """The values that can change compiled code, by name."""
    return {each.name: each.read() for each in DECLARED if each.changes_code}
