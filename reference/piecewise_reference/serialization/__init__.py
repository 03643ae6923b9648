"""The callable that the backend returns, and its serialization."""
