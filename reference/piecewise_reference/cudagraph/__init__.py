"""CUDA graphs: inputs at fixed addresses, capture and replay."""
