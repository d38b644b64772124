"""Metrics, verdict and the HTML report."""
