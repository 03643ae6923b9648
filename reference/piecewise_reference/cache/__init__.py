"""The compile cache: load a piece that was compiled before, or compile it."""
