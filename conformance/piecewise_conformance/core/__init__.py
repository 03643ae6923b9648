"""What all of the harness speaks of: verdicts, outcomes, requirements, options, environment."""
