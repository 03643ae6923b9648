"""Split a captured graph at its splitting ops, and stitch the pieces together."""
