"""What a fork server has at hand for its processes: torch's compiler, and the models that we run.

To import them takes longer than most of what is done in a fresh process. Nothing of a subject is
among them.
"""

import contextlib

import torch._dynamo
import torch._inductor.compile_fx  # noqa: F401 (imported to be there)

with contextlib.suppress(ImportError):
    import piecewise_fixtures.llama  # noqa: F401 (imported to be there)
