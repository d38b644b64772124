"""Emulated: endings of TensorFlow's older files, which no compiler of today reads."""

from __future__ import annotations

TF_OPTIONAL_EXTENSIONS = (".ckpt", ".pb", ".h5")
