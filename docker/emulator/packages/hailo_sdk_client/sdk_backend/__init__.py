"""Emulated: the vendor's back end. Only its exceptions are public."""
