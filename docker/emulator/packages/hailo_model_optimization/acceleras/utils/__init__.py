"""Emulated: the layer library of the vendor's quantisation package."""
