"""Emulated: the vendor's runner package."""
