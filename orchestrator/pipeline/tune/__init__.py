"""Variants of a recipe, searched and judged: which settings keep most accuracy."""
