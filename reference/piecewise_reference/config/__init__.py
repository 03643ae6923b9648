"""What a user tells the backend."""
