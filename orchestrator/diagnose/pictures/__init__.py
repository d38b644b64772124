"""Follows pictures through the code of a post, and tells what a network is fed with."""
