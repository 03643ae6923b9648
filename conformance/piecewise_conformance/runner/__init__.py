"""One conformance run, from the options to the last result."""
