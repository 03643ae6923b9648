"""vLLM 0.33.0: make_copy_and_call converts, spreads, and loses what is written."""

import os

os.environ["VLLM_LOGGING_LEVEL"] = "ERROR"
import torch
from vllm.compilation.backends import make_copy_and_call

seen = []
call = make_copy_and_call([0], [torch.zeros(8, 4)], lambda x: seen.append(x.clone()))
call(torch.full((2, 4), 2.7, dtype=torch.float64))
call(torch.arange(5.0).reshape(5, 1))
written = torch.zeros(3, 4)
make_copy_and_call([0], [None], lambda x: x.add_(1))(written)
print(f"float64 arrives as {seen[0].dtype}")
print(f"shape (5, 1) arrives as {tuple(seen[1].shape)}")
print(f"what add_(1) wrote: {written[0].tolist()}")
wrong = seen[0].dtype != torch.float64 or seen[1].shape != (5, 1) or written.sum() == 0
raise SystemExit(1 if wrong else 0)
