"""The backend under test: its facets, its events, and how it is loaded."""
