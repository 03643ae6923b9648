"""What is measured, a file each subject. ``python -m piecewise_benchmarks run`` runs it."""
