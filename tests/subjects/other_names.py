"""``up_front`` with nothing of the seed's names: folders, errors and endpoints are its own.

Endpoints are sorted and joined, what it refuses it refuses in its own words, and the store of a
model lies in a folder that is named by a digest.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))  # it is given to the harness by its path
import up_front
from keeping import digest
from stores import Ends
from up_front import record_events as record_events

ABILITIES = ("eager", "splitting", "custom-compiler", "compile-ranges", "cache")
Range = Ends


class Backend(up_front.Backend):
    """For one graph, with its store in a folder of another name."""

    def _folder(self) -> Path | None:
        options = self.options
        if options.cache_root is None:
            return None
        place = (options.prefix, str(options.rank), str(options.data_parallel_index))
        folder = Path(options.cache_root, "m-" + digest(*place, *self._factors().values())[:16])
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            return None
        return folder


def make_backend(options: Any) -> Backend:
    """As the harness wants it."""
    cuts, top = options.compile_ranges_endpoints, options.max_num_batched_tokens
    if wrong := [each for each in cuts if not 1 <= each <= top]:
        raise ValueError(f"cannot cut batches of up to {top} tokens at {wrong[0]}")
    if any(not 1 <= size <= top for size in options.compile_sizes):
        raise ValueError("a batch that is to have code of its own is too small or too large")
    return Backend(options.but(compile_ranges_endpoints=tuple(sorted(set(cuts)))))
