"""Passes over Inductor's graph: what a pass is, and the compile it runs in."""
