"""The interface of compilers, and the compilers that come with the reference."""
