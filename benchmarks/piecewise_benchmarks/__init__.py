"""Benchmarks: what the reference and the peers take, beside the limit that nobody can beat."""
