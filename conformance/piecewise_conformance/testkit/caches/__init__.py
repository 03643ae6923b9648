"""What tests of the cache are written with: managers, histories, writers, corrupt files."""
