"""Mutants of the reference, and the kill matrix that runs the suite on each of them."""
