"""Emulated: importable only."""
