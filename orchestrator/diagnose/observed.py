"""Collects what really ran from the lines of the vendor's tools.

Every reading is by meaning and forgiving: numbers may have a decimal comma, words may be
capitalised, a line may carry more than it used to. What is not understood is left out.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from orchestrator.diagnose.finding import Ran
from orchestrator.diagnose.post.told import speaks
from orchestrator.diagnose.required import any_words
from orchestrator.diagnose.words import wordings
from orchestrator.diagnose.words.text import REMEMBERED

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.diagnose.finding import Outcome
    from orchestrator.diagnose.required import Words


#: Words that a line must hold one of, for each reading in the order of the readers.
_WORDS: tuple[Words, ...] = tuple(
    any_words(patterns)
    for patterns in (
        wordings.LEVEL, wordings.IMAGES, wordings.GPU, (wordings.SNR,), wordings.ALGORITHMS,
        wordings.PRECISION, wordings.CONTEXTS, wordings.IDENTITY,
    )
)  # fmt: skip


def _number(text: str) -> int:
    return int(text.replace(",", ""))


#: What somebody tells of a line that does not come any more.
_NO_MORE = re.compile(r"\b(?:no longer|no more|not any ?(?:more|longer)|never again)\b")
#: A line of the compiler about the bits of a layer is shorter than this.
_ONE_LINE = 200


class Observed:
    """Takes in folded lines; :meth:`ran` tells what they add up to."""

    def __init__(self) -> None:
        self.level_asked: int | None = None
        self.level_lowered: int | None = None
        self.level_zero = False
        #: An optimisation went on since a level was read: the next one has another.
        self._level_used = False
        self.images_given: int | None = None
        self.images_used: int | None = None
        self.images_finetune: int | None = None
        self.gpu: bool | None = None
        self.snr: dict[str, float] = {}
        self.skipped: dict[str, None] = {}
        self.done: set[str] = set()
        self.four_bit: dict[str, None] = {}
        self.demoted: dict[str, None] = {}
        self.not_normalized: dict[str, None] = {}
        self.versions: dict[str, str] = {}
        self.arch: str | None = None
        self.hef: str | None = None
        self.optimized = False
        self.began_to_optimize = False
        self._contexts_final: int | None = None
        self._contexts_so_far: int | None = None
        self._single = False
        self._kernels = -1
        #: Which readers understood a line: whether they do depends on the line alone.
        self._heard: dict[str, tuple[Callable[[str, str], bool], ...]] = {}
        self._readers: tuple[tuple[Words, Callable[[str, str], bool]], ...] = tuple(
            zip(
                _WORDS,
                (
                    self._read_level, self._read_images, self._read_gpu, self._read_snr,
                    self._read_algorithms, self._read_precision, self._read_contexts,
                    self._read_identity,
                ),
                strict=True,
            )
        )  # fmt: skip

    def feed(self, folded: str) -> None:
        """Take in one folded line."""
        lower = folded.lower()
        readers = self._heard.get(folded)
        if readers is not None:
            for reader in readers:
                reader(folded, lower)
            return
        heard = tuple(
            reader
            for words, reader in self._readers
            if any(word in lower for word in words) and reader(folded, lower)
        )
        if len(self._heard) >= REMEMBERED:
            self._heard.clear()
        self._heard[folded] = heard

    def _read_level(self, folded: str, lower: str) -> bool:  # noqa: ARG002
        # "ParsedPerformanceParam command, setting optimization_level(max=2)" speaks of the
        # compiler's own level, which has nothing to do with the one of the optimisation.
        if "performanceparam" in lower:
            return False
        if self._find_level(lower):
            self._level_used = False
            return True
        return False

    def _find_level(self, lower: str) -> bool:
        # "Reducing compression level to 0 because requested optimization level ..." lowers
        # another level.
        if "compression level" not in lower.split("optimi", 1)[0]:
            for pattern in wordings.LEVEL_LOWERED:
                match = pattern.search(lower)
                if match and not _NO_MORE.search(lower[: match.start()]):
                    if match["asked"]:
                        self.level_asked = int(match["asked"])
                    self.level_lowered = int(match["level"])
                    return True
        if wordings.LEVEL_ZERO.search(lower):
            self.level_zero = True
            return True
        for pattern in wordings.LEVEL_ASKED:
            match = pattern.search(lower)
            if match:
                self.level_asked = int(match[1])
                self.level_lowered = None
                self.level_zero = False
                return True
        return False

    def _read_images(self, folded: str, lower: str) -> bool:  # noqa: ARG002
        for pattern in wordings.IMAGES_USED:
            match = pattern.search(lower)
            if match:
                if match["what"].startswith("calib"):
                    self.images_used = _number(match["n"])
                else:
                    self.images_finetune = _number(match["n"])
                return True
        if "calib" in lower and "us" in lower:
            pair = wordings.IMAGES_PAIR.search(lower)
            if pair:
                self.images_used = _number(pair["n"])
                self.images_given = _number(pair["given"])
                return True
        bar = wordings.CALIBRATION_BAR.search(lower)
        if bar:
            if self.images_used is None:
                self.images_used = int(bar[2])
            return True
        for pattern in wordings.IMAGES_GIVEN:
            match = pattern.search(lower)
            if match:
                self.images_given = _number(match["n"])
                return True
        return False

    def _read_gpu(self, folded: str, lower: str) -> bool:  # noqa: ARG002
        if wordings.GPU_NO.search(lower):
            self.gpu = False
            return True
        if wordings.GPU_YES.search(lower):
            self.gpu = True
            return True
        return False

    def _read_snr(self, folded: str, lower: str) -> bool:  # noqa: ARG002
        found = False
        for match in wordings.SNR.finditer(folded):
            self.snr[match["layer"].strip(":")] = float(match["db"].replace(",", "."))
            found = True
        return found

    def _read_algorithms(self, folded: str, lower: str) -> bool:
        for pattern in wordings.SKIPPED:
            match = pattern.search(folded)
            if match:
                self.skipped[match["name"].strip()] = None
                self._level_used = True
                return True
        if "is done" in lower or "completed" in lower:
            # What these words mean depends on the names beside them.
            for name in ("bias correction", "adaround", "fine-tun", "fine tun", "finetune"):
                if name in lower and "encoding" not in lower:
                    self.done.add(name)
            if "model optimization" in lower and "algorithm" not in lower:
                self.optimized = True
        elif "starting model optimi" in lower or "starting the model optimi" in lower:
            self.done.clear()
            self.skipped.clear()
            self.optimized = False
            self.began_to_optimize = True
            if self._level_used:
                # Another build of the same log.
                self.level_lowered, self.level_zero, self._level_used = None, False, False
        return "is done" in lower or "completed" in lower or "starting" in lower

    def _read_precision(self, folded: str, lower: str) -> bool:
        found = False
        match = wordings.FOUR_BIT.search(folded)
        if match:
            self.four_bit[match["layer"]] = None
            found = True
        elif "bias" not in lower and all(pattern.search(lower) for pattern in wordings.DEMOTED):
            layer = wordings.LAYER.search(folded)
            # A long sentence of a post that speaks of both is no line of the compiler.
            if layer is not None or len(lower) < _ONE_LINE:
                self.demoted[layer[1] if layer else "(not named)"] = None
                found = True
        if wordings.NOT_NORMALIZED.search(lower):
            self.not_normalized[folded] = None
            found = True
        return found

    def _read_contexts(self, folded: str, lower: str) -> bool:  # noqa: ARG002
        for pattern in wordings.CONTEXTS_FINAL:
            match = pattern.search(lower)
            if match:
                self._contexts_final = int(match[1])
                return True
        for pattern in wordings.CONTEXTS_SO_FAR:
            match = pattern.search(lower)
            if match:
                self._contexts_so_far = int(match[1])
                return True
        kernels = wordings.KERNELS.search(lower)
        if kernels:
            self._kernels = max(self._kernels, int(kernels[1]))
        elif wordings.SINGLE_CONTEXT.search(lower):
            self._contexts_final = self._contexts_so_far = None
            self._kernels = -1
            self._single = True
        elif wordings.MULTI_CONTEXT.search(lower):
            self._single = False
        else:
            return False
        return True

    def _read_identity(self, folded: str, lower: str) -> bool:
        found = False
        for name, pattern in wordings.VERSIONS:
            match = pattern.search(lower)
            if match and not speaks(folded):
                self.versions[name] = match[1]
                found = True
        arch = wordings.ARCH.search(lower)
        if arch:
            self.arch = arch[1]
            found = True
        if ".hef" in lower and wordings.HEF_SAVED.search(lower):
            named = wordings.HEF.findall(folded)
            if named:
                self.hef = named[-1]
                found = True
        return found

    @property
    def contexts(self) -> int | None:
        """Contexts of the network compiled last."""
        if self._contexts_final is not None:
            return self._contexts_final
        if self._kernels >= 0 and self._kernels + 1 >= (self._contexts_so_far or 0):
            return self._kernels + 1
        # Of a log that somebody shortened the kernels cannot be counted.
        if self._contexts_so_far is not None:
            return self._contexts_so_far
        return 1 if self._single else None

    @property
    def level_run(self) -> int | None:
        """The level that was run: as printed, else as the algorithms that ran show."""
        if self.level_lowered is not None:
            return self.level_lowered
        if self.level_zero:
            return 0
        if self.level_asked is not None:
            return self.level_asked
        if not self.optimized:
            return None
        if any(name.startswith("fine") for name in self.done):
            return 2
        if "adaround" in self.done:
            return None  # level 3 or 4: they differ in the number of images alone
        if "bias correction" in self.done:
            return 1
        skipped = {name.lower() for name in self.skipped}
        if {"bias correction", "adaround"} <= skipped and not self.done:
            return 0
        return None

    def ran(self, outcome: Outcome, stage: str | None) -> Ran:
        """Return what the lines add up to."""
        return Ran(
            outcome=outcome,
            level_asked=self.level_asked,
            level_run=self.level_run,
            images_given=self.images_given,
            images_used=self.images_used,
            images_finetune=self.images_finetune,
            gpu=self.gpu,
            contexts=self.contexts,
            snr=dict(self.snr),
            skipped=tuple(self.skipped),
            four_bit_layers=tuple(self.four_bit),
            demoted_layers=tuple(self.demoted),
            normalization_warnings=tuple(self.not_normalized),
            versions=dict(self.versions),
            arch=self.arch,
            hef=self.hef,
            stage=stage,
        )
