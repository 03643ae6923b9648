"""Static graphs: inputs at fixed addresses, capture and replay."""
