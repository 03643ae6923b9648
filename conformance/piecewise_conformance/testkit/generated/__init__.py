"""Generated programs: their graphs, and what the compiled program must do at every size."""
