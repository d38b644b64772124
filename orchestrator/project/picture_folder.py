"""What a folder of pictures shows about itself: classes by folder, and a part that is held out."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hefsmith_worker.pictures import SUFFIXES

if TYPE_CHECKING:
    from pathlib import Path

#: Names of the parts of a data set: those that were trained on, and those held out, best first.
#: In the languages of those who asked so far, accents left out.
TRAINED = (
    "train", "training", "calibration", "calib", "treino", "treinamento", "entrenamiento",
    "entrainement", "allenamento", "trainset", "train_set", "train_data", "training_set",
)  # fmt: skip
HELD_OUT = (
    "val", "valid", "validation", "dev", "eval", "validacao", "validacion", "validierung",
    "validazione", "test", "testing", "teste", "prueba", "valset", "val_set", "val_data",
    "validation_set", "testset", "test_set", "test_data",
)  # fmt: skip
#: What folders of masks are called.
MASKS = (
    "masks", "mask", "labels", "annotations", "annots", "gt", "ground_truth", "groundtruth",
    "segmentationclass", "trimaps", "targets",
)  # fmt: skip
ARRAYS = frozenset({".npy"})
PICTURES = frozenset(SUFFIXES)


@dataclass(frozen=True)
class PictureFolder:
    """Where to take calibration pictures from, and what else the folder shows.

    ``held_out`` are pictures that are never calibrated on; ``classes`` are the names of class
    folders, as torchvision numbers them, empty where folders are none.
    """

    calibration: Path
    held_out: Path | None = None
    classes: tuple[str, ...] = ()


def without_accents(name: str) -> str:
    """Return a name whose letters have no marks."""
    apart = unicodedata.normalize("NFKD", name)
    return "".join(one for one in apart if not unicodedata.combining(one))


def plain(name: str) -> str:
    """Return a folder's name in small letters and without accents."""
    return without_accents(name).casefold()


def look(path: Path, kinds: frozenset[str] = PICTURES) -> PictureFolder:
    """Return what is seen from the names in a folder; what is not a folder stays as it is.

    ``kinds`` are the suffixes of what is looked for.
    """
    if not path.is_dir():
        return PictureFolder(path)
    own = _classes(path, kinds)
    # A class may be called like a part: trains among vehicles.
    parts = {plain(name) for name in own} & {*TRAINED, *HELD_OUT}
    if len(parts) < 2 <= len(own) - len(parts):
        beside = _part(path.parent, HELD_OUT) if plain(path.name) in TRAINED else None
        return PictureFolder(path, beside, own)
    trained, held_out = _part(path, TRAINED), _part(path, HELD_OUT)
    if trained is None and plain(path.name) in TRAINED:
        # The part itself was named; the other one lies beside it.
        held_out = _part(path.parent, HELD_OUT)
    calibration = trained or path
    if trained is None and held_out is not None and held_out.parent == path:
        return PictureFolder(path)
    return PictureFolder(calibration, held_out, _classes(calibration, kinds))


def _part(folder: Path, names: tuple[str, ...]) -> Path | None:
    parts = {plain(entry.name): entry for entry in _folders(folder)}
    return next((parts[name] for name in names if name in parts), None)


def _classes(folder: Path, kinds: frozenset[str]) -> tuple[str, ...]:
    """Return the folders of a folder that has nothing but folders of pictures."""
    names = [entry.name for entry in _folders(folder)]
    if len(names) < 2 or _has_any(folder, kinds):
        return ()
    return tuple(sorted(names)) if all(_has_any(folder / name, kinds) for name in names) else ()


def _folders(folder: Path) -> list[Path]:
    try:
        return [e for e in folder.iterdir() if e.is_dir() and not e.name.startswith(".")]
    except OSError:
        return []


def _has_any(folder: Path, kinds: frozenset[str]) -> bool:
    try:
        return any(entry.suffix.lower() in kinds for entry in folder.iterdir())
    except OSError:
        return False
