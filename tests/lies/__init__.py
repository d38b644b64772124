"""Planted lies and honest controls, run through real builds: ``python -m tests.lies``."""
