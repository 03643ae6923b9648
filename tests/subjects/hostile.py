"""A subject that does to its process what no backend should: the deed that ``HOSTILE`` names."""

import ctypes
import faulthandler
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

_kept: list[bytearray] = []


def _segfault() -> None:
    ctypes.string_at(0)


def _exit() -> None:
    os._exit(0)


def _hang() -> None:
    while True:
        pass


def _hang_without_alarm() -> None:
    faulthandler.cancel_dump_traceback_later()
    while True:
        time.sleep(60)


def _fork() -> None:
    os.fork()  # and both come back


def _eat_memory() -> None:
    while True:
        _kept.append(bytearray(64 << 20))


def _eat_memory_of_torch() -> None:
    import torch

    torch.empty(1 << 44, dtype=torch.uint8)


def _change_torch() -> None:
    import torch

    torch.set_default_dtype(torch.float64)
    torch.set_grad_enabled(False)
    torch.set_autocast_enabled("cpu", True)
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = "/nowhere"


def _print() -> None:
    sys.stdout.write("x" * (8 << 20))
    os.write(2, b"y" * (8 << 20))


def _print_and_raise() -> None:
    _print()
    raise ValueError("z" * (8 << 20))


def _catch_signals() -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM):
        signal.signal(number, signal.SIG_IGN)


def _kill_runner() -> None:
    """Kill the process that watches the run, as the system does when memory is short."""
    report = Path(os.environ["HOSTILE_REPORT"])
    while '"before"' not in report.read_text():
        pass  # the result before has still to come in
    status = Path(f"/proc/{os.getppid()}/status").read_text()
    os.kill(int(status.partition("PPid:")[2].split()[0]), signal.SIGKILL)
    _hang_without_alarm()


def make_backend(options: Any) -> Any:
    """What it was given, after the deed if it was asked for that."""
    if options == "deed":
        globals()[f"_{os.environ['HOSTILE']}"]()
    return options
