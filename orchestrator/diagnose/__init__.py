"""Known failures as data, log reading, doctor checks."""
