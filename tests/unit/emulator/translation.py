"""Translated networks and what they must compute, for the tests of translation."""

from __future__ import annotations

import numpy as np


def translate(model, name="net", **options):
    from hailo_emulator.translate import translate as run

    return run(model.SerializeToString(), name, **options)


def native(network, frames):
    from hailo_emulator.compose import compose
    from hailo_emulator.execute import Session
    from hailo_emulator.graph import to_model

    return Session(to_model(compose(network)).SerializeToString()).run(frames)


def reference(model, feeds):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    return session.run(None, feeds)


def nchw(frame):
    return np.ascontiguousarray(frame.transpose(2, 0, 1))[None]
