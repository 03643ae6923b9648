"""What a captured graph says about its trace: values, symbols, dynamic shapes."""
