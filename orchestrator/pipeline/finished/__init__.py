"""Finished builds: their folders, manifests, signatures, history, comparison and report."""
