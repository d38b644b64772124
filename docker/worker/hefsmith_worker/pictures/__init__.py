"""Pictures: what preprocessing means, and the one code that does it.

Importing this package needs the standard library only; numpy and Pillow come with the
first picture.
"""

from hefsmith_worker.pictures.preprocess import PRESETS, Preprocess, PreprocessError

__all__ = ["PRESETS", "Preprocess", "PreprocessError"]
