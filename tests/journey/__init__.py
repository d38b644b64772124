"""The first hour as a new user walks it: ``python -m tests.journey`` prints what it took."""
