"""Optimizations that are not needed to understand the algorithm; skip them on a first reading.

Each module describes the plain implementation, and a test compares it with the fast one.
"""
