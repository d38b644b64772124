"""Looks into files that are not HEFs: ONNX, HAR, checkpoints, and tells what a file is."""
