"""Attacks by families; each says ``N tried, M lost`` (``pytest -rP tests/security`` shows it)."""
