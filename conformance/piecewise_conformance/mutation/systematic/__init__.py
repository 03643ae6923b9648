"""Systematic mutation: standard operators over the reference, whatever anybody thought of."""
