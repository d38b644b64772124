"""Runs the stages of a plan inside a container, in one process (Python 3.8 syntax)."""
