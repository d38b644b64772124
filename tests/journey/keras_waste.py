"""Trains a small Keras network on prepared pictures and writes it in TensorFlow's three forms.

Run as a program, ``keras_waste.py ARRAYS.npz FOLDER``: importing TensorFlow takes seconds and
prints what it likes. ``ARRAYS`` has ``train``, ``labels``, ``val`` and ``truth``: channels first,
-1..1.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.update(CUDA_VISIBLE_DEVICES="-1", TF_CPP_MIN_LOG_LEVEL="3")


def main(arrays: Path, folder: Path) -> None:
    """Write waste.keras, waste_saved/ and waste.tflite; print what share of ``val`` is right."""
    import keras
    import numpy as np
    import tensorflow as tf

    data = np.load(arrays)
    keras.utils.set_random_seed(2)
    image = keras.layers.Input((48, 48, 3), name="image")
    value = image
    for filters in (16, 32, 48):
        value = keras.layers.Conv2D(filters, 3, strides=2, padding="same")(value)
        value = keras.layers.ReLU()(keras.layers.BatchNormalization(momentum=0.8)(value))
    value = keras.layers.GlobalAveragePooling2D()(value)
    model = keras.Model(image, keras.layers.Dense(6, name="scores")(value))
    model.compile(
        optimizer=keras.optimizers.Adam(6e-3),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    model.fit(
        data["train"].transpose(0, 2, 3, 1), data["labels"], epochs=18, batch_size=24, verbose=0
    )
    answers = model.predict(data["val"].transpose(0, 2, 3, 1), verbose=0).argmax(1)
    model.save(folder / "waste.keras")
    model.export(str(folder / "waste_saved"), verbose=False)
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    (folder / "waste.tflite").write_bytes(converter.convert())
    print(f"right: {(answers == data['truth']).mean()}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
