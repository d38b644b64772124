"""Stages, plan, cache and run of a build. Knows no Docker, no SSH, no SDK."""
