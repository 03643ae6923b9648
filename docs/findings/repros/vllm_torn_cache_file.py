"""vLLM 0.33.0: a cache file that was torn, or is another version's, ends every later start."""

import os
import tempfile

os.environ["VLLM_LOGGING_LEVEL"] = "ERROR"
os.environ["VLLM_USE_MEGA_AOT_ARTIFACT"] = "0"
from vllm.compilation.backends import CompilerManager
from vllm.config import CompilationConfig

failed = 0
for text in ("", "{((1, 8), 0, 'eager'): {'graph_handle': ('a", "[]", "{1: 2}"):
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "vllm_compile_cache.py"), "w") as file:
            file.write(text)
        manager = CompilerManager(CompilationConfig(backend="eager"), use_aot_compile=True)
        try:
            manager.initialize_cache(folder)
        except Exception as error:
            failed += 1
            print(f"{text!r}: {type(error).__name__}: {error}")
raise SystemExit(1 if failed else 0)
