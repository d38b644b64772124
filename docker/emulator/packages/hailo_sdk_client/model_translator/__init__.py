"""Emulated: the vendor's package of model translation. Only its exceptions are public."""
