"""The words that all of the harness uses: verdicts, outcomes, requirements, options, environment."""
