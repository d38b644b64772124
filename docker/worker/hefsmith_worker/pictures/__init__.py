"""Pictures: what preprocessing means, and the one code that does it.

Importing this package needs the standard library only; numpy and Pillow come with the
first picture.
"""

from hefsmith_worker.pictures.decode import MAX_PIXELS, SUFFIXES, PictureError
from hefsmith_worker.pictures.geometry import Placement, place
from hefsmith_worker.pictures.prepare import normalise, prepare, prepare_with_placement
from hefsmith_worker.pictures.preprocess import Preprocess, PreprocessError

__all__ = [
    "MAX_PIXELS",
    "SUFFIXES",
    "PictureError",
    "Placement",
    "Preprocess",
    "PreprocessError",
    "normalise",
    "place",
    "prepare",
    "prepare_with_placement",
]
