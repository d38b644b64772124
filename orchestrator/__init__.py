"""hefsmith: from a trained PyTorch or ONNX model to a HEF proven on a Raspberry Pi."""

__version__ = "0.1.0"
