"""Emulated: the vendor's network description."""
