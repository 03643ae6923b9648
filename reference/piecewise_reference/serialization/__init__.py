"""What the backend returns, and the parts of it that outlive the process."""
