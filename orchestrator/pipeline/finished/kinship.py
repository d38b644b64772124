"""How two builds are related: the same inputs? the same bytes? else, how far apart in numbers?

Some toolchains cannot promise the same bytes (training on another kind of processor, the vendor's
compiler). Then "changed" would say too much: what a build answers on its golden samples tells
whether the difference matters. A few of these numbers go into ``hef.lock``, so that the
comparison needs no other machine's files.
"""

from __future__ import annotations

import base64
import binascii
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hefsmith_worker.contract.layout import GOLDEN_INDEX, MANIFEST

from orchestrator.errors import HefsmithError
from orchestrator.files import sha256_of
from orchestrator.pipeline.digests import digest_of
from orchestrator.reading import plain_values, read_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from orchestrator.pipeline.finished.builds import Build

#: The step whose answers are compared: that of the quantised network, which a chip repeats.
STEP = "sdk_quantized"
#: So many of its numbers stand for it, spread evenly over all samples and outputs.
NUMBERS = 64
#: Numbers of which the noise is this far below (decibels) count as the same.
SAME_DB = 60.0


@dataclass(frozen=True)
class Made:
    """What came out of a build: the HEF's digest, and some of its answers (float32 in base64)."""

    hef: str
    numbers: str

    @staticmethod
    def from_json(entry: Mapping[str, Any]) -> Made:
        """Read what :meth:`to_json` wrote; raises ``ValueError``, ``KeyError``, ``TypeError``."""
        made = Made(str(entry["hef"]), str(entry["numbers"]))
        _decoded(made.numbers)
        return made

    def to_json(self) -> dict[str, str]:
        """Return plain values."""
        return {"hef": self.hef, "numbers": self.numbers}


@dataclass(frozen=True)
class Kinship:
    """``same_inputs`` is ``None`` where it is not known; ``difference_db`` ``inf`` for no noise."""

    same_inputs: bool | None
    same_bytes: bool
    difference_db: float | None

    @property
    def same_numbers(self) -> bool:
        """Whether the answers are the same for all practical purposes."""
        return self.difference_db is not None and self.difference_db >= SAME_DB

    @property
    def words(self) -> str:
        """One line for people."""
        inputs = {True: "same inputs", False: "other inputs", None: "inputs not known"}
        said = [inputs[self.same_inputs], "same bytes" if self.same_bytes else "other bytes"]
        if not self.same_bytes:
            said.append(difference_words(self.difference_db))
        return ", ".join(said)

    def to_json(self) -> dict[str, object]:
        """Return plain values; endless decibels are ``null`` beside ``same_numbers``."""
        finite = self.difference_db is not None and math.isfinite(self.difference_db)
        return {
            "same_inputs": self.same_inputs,
            "same_bytes": self.same_bytes,
            "same_numbers": self.same_bytes or self.same_numbers,
            "difference_db": round(self.difference_db or 0.0, 2) if finite else None,
        }


def difference_words(decibels: float | None) -> str:
    """Say how far numbers are apart."""
    if decibels is None:
        return "difference not known"
    if decibels == math.inf:
        return "the same numbers"
    return f"difference {decibels:.1f} dB"


def decibels(signal: float, noise: float) -> float:
    """Return signal over noise, of sums of squares; without noise ``inf``, without signal ``-inf``.

    What is no number is as far away as can be.
    """
    if math.isnan(signal) or math.isnan(noise):
        return -math.inf
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal > 0 else -math.inf


def made_of(build: Build) -> Made | None:
    """Return what stands for a finished build, ``None`` where its files do not tell."""
    import numpy as np

    try:
        index = read_json(build.folder / GOLDEN_INDEX)
        arrays = [
            np.load(build.golden / name, allow_pickle=False, mmap_mode="r").reshape(-1)
            for name in index["steps"][STEP]
        ]
        digest = sha256_of(build.hef)
    except (OSError, ValueError, KeyError, TypeError, HefsmithError):
        return None
    total = sum(array.size for array in arrays)
    places = [int(at) for at in np.linspace(0, total - 1, min(NUMBERS, total))]
    chosen, first = [], 0
    for array in arrays:
        chosen += [float(array[at - first]) for at in places if first <= at < first + array.size]
        first += array.size
    packed = np.asarray(chosen, "<f4").tobytes()
    return Made(digest, base64.b64encode(packed).decode("ascii"))


def relate(first: Made, second: Made, *, same_inputs: bool | None) -> Kinship:
    """Compare what stands for two builds."""
    one, other = _decoded(first.numbers), _decoded(second.numbers)
    difference = None
    if len(one) == len(other) and one:
        noise = sum((a - b) ** 2 for a, b in zip(one, other, strict=True))
        difference = decibels(sum(a * a for a in one), noise)
    return Kinship(same_inputs, first.hef == second.hef, difference)


def _decoded(numbers: str) -> list[float]:
    import struct

    try:
        packed = base64.b64decode(numbers, validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from error
    if len(packed) % 4:
        msg = "it does not hold 4-byte integers"
        raise ValueError(msg)
    return list(struct.unpack(f"<{len(packed) // 4}f", packed))


def relate_files(first: Path, second: Path) -> Kinship | None:
    """Compare two HEFs that lie in finished builds, ``None`` where one of them does not."""
    from orchestrator.pipeline.finished.attest import read_statement
    from orchestrator.pipeline.finished.builds import read_build

    made, inputs = [], []
    for path in (first, second):
        build = read_build(path.absolute().parent)
        if build is None or build.hef.name != path.name:
            return None
        try:
            statement = read_statement(build.folder / MANIFEST)
        except HefsmithError:
            return None
        one = made_of(build)
        # A file that is not the one vouched for is related to nothing.
        if one is None or statement.subjects.get(path.name) != one.hef:
            return None
        made.append(one)
        inputs.append(digest_of([plain_values(statement.asked), statement.materials]))
    return relate(made[0], made[1], same_inputs=inputs[0] == inputs[1])
