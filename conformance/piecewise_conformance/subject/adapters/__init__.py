"""The backends that the harness brings adapters for."""
