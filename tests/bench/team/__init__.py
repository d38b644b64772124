"""Figures of matrices and stores, put into docs/team.md: ``python -m tests.bench.team --write``."""
