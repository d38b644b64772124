"""Calibration sets: sources, choice of images, linter, arrays, contact sheet."""

from hefsmith_worker.calibration.build import build_calibration
from hefsmith_worker.calibration.model import (
    CalibratedInput,
    CalibrationError,
    CalibrationRequest,
    CalibrationSet,
    Emit,
    ImageProgress,
    InputSpec,
    Samples,
    Source,
    read_sources,
)
from hefsmith_worker.calibration.samples import load_samples
from hefsmith_worker.calibration.sources import kind_of, look_around

__all__ = [
    "CalibratedInput",
    "CalibrationError",
    "CalibrationRequest",
    "CalibrationSet",
    "Emit",
    "ImageProgress",
    "InputSpec",
    "Samples",
    "Source",
    "build_calibration",
    "kind_of",
    "load_samples",
    "look_around",
    "read_sources",
]
