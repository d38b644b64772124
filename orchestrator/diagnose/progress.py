"""Reads how far the vendor's tools are: stages, tqdm and Keras bars, partition searches.

Nothing here may fail on a line that it does not know: unknown lines give ``None``.
"""

from __future__ import annotations

import re
import time
from functools import lru_cache

from orchestrator.diagnose.finding import Progress
from orchestrator.diagnose.words.text import REMEMBERED

_TQDM = re.compile(
    r"(?:(?P<step>[A-Za-z][\w .()/-]{0,60}?)\s*:\s*)?(?P<percent>\d{1,3})%\s?\|[^|]*\|\s*"
    r"(?P<done>\d+)/(?P<total>\d+)(?:\s*\[(?P<spent>[\d:]+)<(?P<left>[\d:?]+)"
    r"(?:,\s*[\d.?]+\s*(?P<unit>[A-Za-z]+)?)?)?"
)
_EPOCH = re.compile(r"^\s*Epoch\s+(\d+)\s*/\s*(\d+)", re.IGNORECASE)
_KERAS = re.compile(r"^\s*(\d+)\s*/\s*(\d+)\s+(?:\[[=>.]+\]|[━╸╺ ]+)\s*(?:-\s*)?(.*)$")
_KERAS_LEFT = re.compile(r"ETA:\s*((?:\d+:)*\d+)\s*(s|$|\s)|^\s*((?:\d+:)+\d+|\d+s)\s")
_ITERATION = re.compile(
    r"Iteration\s+#(\d+)\s+-\s+(?:Contexts:\s*(\d+)|(\d+)\s+contexts)", re.IGNORECASE
)
_NETWORK = re.compile(
    r"Network\s+(\S+):\s+(\d+)%\s*\|\s*(\d+)\s*\|.*?ETA:\s*((?:\d+:)*\d+)", re.IGNORECASE
)
_ALGORITHM = re.compile(
    r"^(?:\[info\]\s*)?Starting\s+(?!Hailo allocation|Model Optimization)([A-Z][\w /-]{2,50}?)\s*$"
)
_KERNELS = re.compile(r"Compiling(?: kernels of)?\s+(\S*?context_?(\d+))\b", re.IGNORECASE)

#: Words that begin a stage, in the order of the work. All lower case.
STAGE_MARKS: tuple[tuple[str, str, re.Pattern[str]], ...] = tuple(
    (stage, step, re.compile(pattern))
    for stage, step, pattern in (
        ("parse", "translate", r"translation started on|start(?:ing|ed) (?:the )?translation"),
        ("parse", "translate", r"retrying (?:the )?pars|parsing retry attempt"),
        ("calibrate", "prepare", r"preparing (?:the )?calibration (?:data|set)"),
        (
            "optimize",
            "optimize",
            r"start(?:ing|ed) (?:the )?(?:model )?(?:optimi[sz]|quanti[sz])ation",
        ),
        ("compile", "compile", r"start(?:ing|ed) (?:the )?(?:hailo )?allocation"),
        ("compile", "map", r"running resources allocation|trying to compile .* single context"),
        ("compile", "partition", r"finding the best partition|using multi[- ]context flow"),
        ("compile", "build", r"building (?:the )?hef"),
        ("run", "measure", r"running (?:streaming|hw.only) inference|starting measurements"),
    )
)


def seconds(clock: str | None) -> float | None:
    """Return ``1:02:03``, ``00:10``, ``83s`` or ``83`` as seconds; ``?`` gives ``None``."""
    if not clock or "?" in clock:
        return None
    total = 0.0
    for part in clock.rstrip("s").split(":"):
        if not part.isdigit():
            return None
        total = total * 60 + int(part)
    return total


@lru_cache(maxsize=REMEMBERED)
def _may_show(line: str) -> bool:
    """Tell whether any of the readings below fits ``line``, whatever came before it."""
    lower, stripped = line.lower(), line.strip()
    return any(pattern.search(text) for pattern in PATTERNS for text in (line, lower, stripped))


#: All that is looked for; a line that none of these matches shows no progress.
PATTERNS = (
    _TQDM, _EPOCH, _KERAS, _NETWORK, _ITERATION, _KERNELS, _ALGORITHM,
    *(pattern for _, _, pattern in STAGE_MARKS),
)  # fmt: skip

#: Begin and end of a step of the vendor's tools, by the name that they give it.
STEP_BEGINS = re.compile(
    r"^(?:\[info\]\s*)?(?:Starting\s+(?P<name>[A-Z][\w /-]{2,50}?)\s*$"
    r"|(?P<other>Translation) started\b|(?P<hef>Building HEF)"
    r"|(?P<export>(?:ONNX|TorchScript|OpenVINO|Hailo|TensorFlow \w+)): starting export\b)"
)
STEP_ENDS = re.compile(
    r"(?:Algorithm\s+)?(?P<name>[A-Z][\w /-]{2,50}?)\s+(?:is done|completed|skipped)\b"
    r"|(?P<compiled>Successful Compilation|export (?:success|failure))"
    r"|(?P<saved>saved|written) (?:to|as)"
)


class Steps:
    """The last step that was begun, and whether its end was seen."""

    def __init__(self) -> None:
        self.name: str | None = None
        self.done: bool | None = None
        self._outer: str | None = None

    def feed(self, bare: str) -> None:
        """Take in one line (without prefix)."""
        begins = STEP_BEGINS.match(bare)
        if begins:
            name = begins["name"] or begins["other"] or begins["hef"]
            name = name or f"{begins['export']} export"
            if name.lower().startswith(("model optimi", "hailo allocation")):
                self._outer = name
            self.name, self.done = name, False
            return
        if self.name is None:
            return
        ends = STEP_ENDS.search(bare)
        if ends is None:
            return
        ended = ends["name"]
        if ended is None or ended.lower().endswith(self.name.lower()):
            self.done = True
        elif self._outer and ended.lower().endswith(self._outer.lower()):
            self.name, self.done = self._outer, True


class ProgressReader:
    """Remembers stage and epoch, so that bars inside them make sense."""

    def __init__(self) -> None:
        self.stage = "start"
        self._step = ""
        self._epoch: tuple[int, int] | None = None
        self._epoch_began = 0.0
        self._algorithm = ""

    def feed(self, line: str) -> Progress | None:
        """Return the progress that ``line`` (cleaned) shows, if any."""
        if not _may_show(line):
            return None
        bar = self._bar(line)
        if bar is not None:
            return bar
        lower = line.lower()
        for stage, step, pattern in STAGE_MARKS:
            if pattern.search(lower):
                self.stage, self._step, self._epoch = stage, step, None
                return Progress(stage, step)
        return (
            self._training(line) or self._network(line) or self._search(line) or self._named(line)
        )

    def _bar(self, line: str) -> Progress | None:
        if "%" not in line or "|" not in line:
            return None
        match = _TQDM.search(line)
        if match is None:
            return None
        done, total = int(match["done"]), int(match["total"])
        step = (match["step"] or self._algorithm or self._step or "work").strip()
        stage = "optimize" if step.lower().startswith(("calibration", "full quant")) else self.stage
        left = seconds(match["left"])
        return Progress(stage, step, done, total, match["unit"], left)

    def _training(self, line: str) -> Progress | None:
        match = _EPOCH.match(line)
        if match:
            self._epoch = (int(match[1]), int(match[2]))
            if self._epoch[0] == 1 or not self._epoch_began:
                self._epoch_began = time.monotonic()
            return Progress("optimize", "fine tune", self._epoch[0] - 1, self._epoch[1], "epochs")
        match = _KERAS.match(line)
        if match is None:
            return None
        done, total = int(match[1]), int(match[2])
        left = None
        clock = _KERAS_LEFT.search(match[3])
        if clock and done < total:
            left = seconds(clock[1] or clock[3])
        if self._epoch is None:
            return Progress("optimize", self._algorithm or "train", done, total, "steps", left)
        epoch, epochs = self._epoch
        all_done, all_total = (epoch - 1) * total + done, epochs * total
        if left is not None:
            spent = time.monotonic() - self._epoch_began
            later = (spent / all_done) * (epochs - epoch) * total if all_done else 0.0
            left += later
        return Progress("optimize", "fine tune", all_done, all_total, "steps", left)

    def _network(self, line: str) -> Progress | None:
        match = _NETWORK.search(line)
        if match is None:
            return None
        self.stage = "run"
        return Progress("run", match[1], int(match[2]), 100, "%", seconds(match[4]))

    def _search(self, line: str) -> Progress | None:
        match = _ITERATION.search(line)
        if match:
            return Progress("compile", "partition", int(match[1]), None, "iterations")
        match = _KERNELS.search(line)
        if match:
            return Progress("compile", "kernels", int(match[2]) + 1, None, "contexts")
        return None

    def _named(self, line: str) -> Progress | None:
        match = _ALGORITHM.match(line.strip())
        if match is None or self.stage != "optimize":
            return None
        self._algorithm, self._epoch, self._epoch_began = match[1], None, 0.0
        return Progress("optimize", match[1])
