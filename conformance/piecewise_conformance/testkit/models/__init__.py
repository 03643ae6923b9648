"""Models of several layers, for tests of the whole backend."""
