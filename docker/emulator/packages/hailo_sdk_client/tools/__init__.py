"""Emulated: the vendor's tools package."""
