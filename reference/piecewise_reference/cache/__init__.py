"""Compile a piece, or find that it has been compiled before."""
