"""What tests of CUDA graphs are written with."""
