"""Reports of a run: written, compared, merged and shown."""
