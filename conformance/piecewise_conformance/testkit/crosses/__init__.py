"""Modes of a backend in combination: which there are, a plan that covers them, and how a
combination is judged.
"""
