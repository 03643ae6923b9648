"""A subject that echoes, and misbehaves when told to. It needs no torch."""

import ctypes
import os


def make_backend(options):
    if options == "raise":
        raise ValueError("told to")
    if options == "exit":
        os._exit(3)
    if options == "segfault":
        ctypes.string_at(0)
    while options == "hang":
        pass
    return options
