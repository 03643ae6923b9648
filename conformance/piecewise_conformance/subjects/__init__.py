"""Subjects that come with the harness, and the rungs by which others are built."""
