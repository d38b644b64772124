"""Writes the bundled digits network as TensorFlow has it: same layers, same trained weights.

Run as a program, ``keras_digits.py CHECKPOINT FOLDER``: importing TensorFlow takes seconds and
prints what it likes.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.update(CUDA_VISIBLE_DEVICES="-1", TF_CPP_MIN_LOG_LEVEL="3")


def build(checkpoint: Path):
    """Return the Keras model: NHWC, zero padding where torch has it, scores without softmax."""
    import keras
    import torch

    state = torch.load(checkpoint, weights_only=True)
    image = keras.layers.Input((32, 32, 1), name="image")
    value = image
    for index, (filters, stride) in enumerate(((16, 2), (24, 1), (32, 2), (40, 1))):
        value = keras.layers.ZeroPadding2D(1)(value)
        conv = keras.layers.Conv2D(filters, 3, strides=stride, use_bias=False)
        norm = keras.layers.BatchNormalization(epsilon=1e-5)
        value = keras.layers.ReLU()(norm(conv(value)))
        names = [f"features.{index}.1.{part}" for part in ("weight", "bias")]
        names += [f"features.{index}.1.running_{part}" for part in ("mean", "var")]
        conv.set_weights([state[f"features.{index}.0.weight"].numpy().transpose(2, 3, 1, 0)])
        norm.set_weights([state[name].numpy() for name in names])
    value = keras.layers.GlobalAveragePooling2D()(value)
    head = keras.layers.Dense(10, name="scores")
    model = keras.Model(image, head(value))
    head.set_weights([state["head.weight"].numpy().T, state["head.bias"].numpy()])
    return model


def main(checkpoint: Path, folder: Path) -> None:
    """Write digits.tflite, .keras, .h5, a SavedModel, and a quantised digits_int8.tflite."""
    import numpy as np
    import tensorflow as tf

    model = build(checkpoint)
    model.save(folder / "digits.keras")
    model.save(folder / "digits.h5")
    model.export(str(folder / "digits_saved"), verbose=False)
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    (folder / "digits.tflite").write_bytes(converter.convert())
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    chance = np.random.default_rng(0)
    converter.representative_dataset = lambda: (
        [chance.random((1, 32, 32, 1), np.float32)] for _ in range(8)
    )
    (folder / "digits_int8.tflite").write_bytes(converter.convert())


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
