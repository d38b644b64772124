"""Builds a calibration set: find, choose, prepare, look at, publish."""

from pathlib import Path

from hefsmith_worker.calibration.model import CalibrationRequest, CalibrationSet, Emit, ignore


def build_calibration(
    request: CalibrationRequest, out_dir: Path, emit: Emit = ignore
) -> CalibrationSet:
    """Make ``out_dir/<input>-<sha256[:16]>.npy`` for each input and ``out_dir/calibration.json``.

    Arrays are uint8 NHWC, or float32 NHWC when an input is normalised on the host; open them
    with ``numpy.load(file, mmap_mode="r")``. Raises :class:`CalibrationError` when the set
    cannot be built; findings with severity ``error`` are in the result, for the caller to stop.
    """
    raise NotImplementedError
