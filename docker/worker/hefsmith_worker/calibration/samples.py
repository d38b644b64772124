"""Golden samples: prepared pictures of a validation source, with labels or boxes."""

from typing import Mapping, Optional, Sequence

from hefsmith_worker.calibration.model import Emit, InputSpec, Samples, Source, ignore


def load_samples(
    inputs: Sequence[InputSpec],
    sources: Mapping[str, Source],
    count: Optional[int],
    seed: int = 0,
    labels: Sequence[str] = (),
    task: Optional[str] = None,
    emit: Emit = ignore,
) -> Samples:
    """Prepare ``count`` samples (``None``: all), spread over folders and classes by ``seed``.

    ``labels`` are the class names by index: folder names are matched with them, else folders
    are numbered in sorted order. Raises :class:`CalibrationError`.
    """
    raise NotImplementedError
