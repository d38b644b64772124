"""Several builds as one command: which, in what order, side by side, and what came of each."""
