"""Near-duplicates by a perceptual hash: a 16x16 luma thumbnail of the prepared picture.

Two pictures are near-duplicates when their thumbnails, each less its own mean brightness,
differ little on average *and* nowhere much, measured against their contrast. So a frame of a
fixed camera with a new object in it stays, a re-encoded, brightened or slightly noisier copy
goes. Hashes that keep only signs of differences fail on small or flat pictures: half of their
bits are noise there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, List, Sequence, Set, Tuple

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

SIDE = 16
CELLS = SIDE * SIDE
BLOCKS = 16

#: Pictures that are compared with all known ones at a time.
BATCH = 32

#: Largest mean and single difference of duplicates, as parts of the contrast (the standard
#: deviation of the thumbnail), and the floors in grey levels that noise alone can reach.
MEAN_PART, MEAN_FLOOR = 0.06, 0.4
CELL_PART, CELL_FLOOR = 0.3, 2.0


def thumbnail(image: Image.Image) -> bytes:
    """Return the hash of a prepared picture (mode L or RGB): 512 bytes, 16-bit levels * 64.

    Eight bits are too few: what tells two dark pictures apart lies below one level.
    """
    import numpy as np
    from PIL import Image as Module

    resampling = getattr(Module, "Resampling", Module)
    factor = min(image.size) // (4 * SIDE)
    if factor > 1:
        image = image.reduce(factor)
    gray = image if image.mode == "L" else image.convert("L")
    small = gray.convert("F").resize((SIDE, SIDE), resampling.BOX)
    return np.rint(np.asarray(small) * 64.0).astype("<u2").tobytes()


class Seen:
    """The thumbnails of accepted pictures; data that are no picture go by their digests."""

    def __init__(self) -> None:
        self._digests: Set[Tuple[str, ...]] = set()
        self._count = 0
        self._rows: Any = None
        self._coarse: Any = None
        self._contrast: Any = None

    def __len__(self) -> int:
        return self._count

    def has(self, print_: bytes, digests: Tuple[str, ...]) -> bool:
        """Tell whether a picture is a near-duplicate, or data are equal to others."""
        return self.find(print_) >= 0 if print_ else digests in self._digests

    def add(self, print_: bytes, digests: Tuple[str, ...] = ()) -> None:
        """Remember one picture, or data."""
        import numpy as np

        if not print_:
            self._digests.add(digests)
            return
        if self._rows is None:
            self._rows = np.zeros((64, CELLS), np.float32)
            self._coarse = np.zeros((64, 16), np.float32)
            self._contrast = np.zeros(64, np.float32)
        if self._count == len(self._rows):
            self._rows = np.concatenate([self._rows, np.zeros_like(self._rows)])
            self._coarse = np.concatenate([self._coarse, np.zeros_like(self._coarse)])
            self._contrast = np.concatenate([self._contrast, np.zeros_like(self._contrast)])
        row = _centred(print_)
        self._rows[self._count] = row
        self._coarse[self._count] = _blocks(row)[0]
        self._contrast[self._count] = row.std()
        self._count += 1

    def find(self, print_: bytes) -> int:
        """Return the index of a near-duplicate that was added before, or -1."""
        return self.find_each([print_])[0]

    def find_each(self, prints: Sequence[bytes]) -> List[int]:
        """Return for each picture the index of the first near-duplicate, or -1."""
        found: List[int] = []
        for start in range(0, len(prints), BATCH):
            found += self._find_batch(prints[start : start + BATCH])
        return found

    def _find_batch(self, prints: Sequence[bytes]) -> List[int]:
        import numpy as np

        found = [-1] * len(prints)
        if not self._count:
            return found
        rows = np.stack([_centred(print_) for print_ in prints])
        contrast = np.minimum(self._contrast[None, : self._count], rows.std(1)[:, None])
        limit = np.maximum(MEAN_FLOOR, MEAN_PART * contrast)
        # Means of 4x4 cells cannot differ more than the cells do: most end here, cheaply.
        coarse = np.abs(_blocks(rows)[:, None] - self._coarse[None, : self._count]).sum(2)
        asked, known = np.nonzero(coarse <= limit * BLOCKS)
        for at, index in zip(asked.tolist(), known.tolist()):
            if found[at] >= 0:
                continue
            differences = np.abs(self._rows[index] - rows[at])
            largest = max(CELL_FLOOR, CELL_PART * float(contrast[at, index]))
            if differences.mean() <= limit[at, index] and differences.max() <= largest:
                found[at] = index
        return found


def _blocks(rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the means of 4x4 blocks of cells, 16 for each row (N, 256)."""
    means: np.ndarray[Any, Any] = rows.reshape(-1, 4, 4, 4, 4).mean((2, 4)).reshape(-1, BLOCKS)
    return means


def _centred(print_: bytes) -> np.ndarray[Any, Any]:
    import numpy as np

    row = np.frombuffer(print_, dtype="<u2").astype(np.float32) / 64.0
    centred: np.ndarray[Any, Any] = row - row.mean()
    return centred


def duplicates(prints: List[bytes]) -> List[int]:
    """Return for each picture the index of the earlier one that it repeats, or -1."""
    seen = Seen()
    owners: List[int] = []
    result: List[int] = []
    for index, print_ in enumerate(prints):
        hit = seen.find(print_)
        result.append(owners[hit] if hit >= 0 else -1)
        if hit < 0:
            seen.add(print_)
            owners.append(index)
    return result
