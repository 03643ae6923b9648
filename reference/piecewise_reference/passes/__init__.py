"""Passes over Inductor's graph: their interface, and the compile in which they run."""
