"""What the manager asks of a compiler, and the compilers that come with the reference."""
