"""What tracing left in a captured graph: values, symbols, and how sizes are traced."""
