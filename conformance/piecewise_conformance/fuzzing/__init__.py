"""The search: programs that nobody wrote, until a subject does one of them wrong."""
