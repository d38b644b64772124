"""Emulated: post-processing that the vendor adds to a network."""
