"""Inductor as a compiler: fresh, loaded from the cache, and from bytes."""
