"""Optimisations that are not needed to understand the algorithm; skip them on a first reading.

Each module names the plain way next to the fast one, and a test compares the two.
"""
