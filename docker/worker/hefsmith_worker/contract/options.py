"""What a build can be asked for: names, choices, defaults, and the vendor's own defaults.

The recipe's sections, the plan that a worker reads and the emulator are built on these, so a
default stands here and nowhere else. A ``None`` leaves the choice to the vendor, or to what the
network shows.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any, Dict, Literal, Mapping, Optional, Tuple, Type, TypeVar, get_args

Exporter = Literal["legacy", "dynamo"]
Simplifier = Literal[False, "onnxslim", "onnxsim"]
Level = Literal[-100, 0, 1, 2, 3, 4]
#: ``auto`` is the vendor's default level, the only one that it lowers by itself.
AnyLevel = Literal["auto", -100, 0, 1, 2, 3, 4]
NmsEngine = Literal["auto", "cpu", "nn_core"]
AnyTask = Literal["auto", "classification", "detection", "segmentation", "pose", "obb", "other"]
SourceForm = Literal[
    "auto", "folder", "glob", "list", "npy", "npz", "tar", "zip", "video", "coco", "yolo"
]

#: Optimisation levels of the vendor; -100 turns everything off.
LEVELS: Tuple[int, ...] = get_args(Level)
#: Forms of picture sources that can be named; ``auto`` looks.
SOURCE_FORMS: Tuple[str, ...] = tuple(form for form in get_args(SourceForm) if form != "auto")

#: The level that the vendor takes when a script names none.
DEFAULT_LEVEL = 2
#: The level whose work is a fine-tune; it and those above train the network.
FINE_TUNE_LEVEL = 2
#: Images from which the vendor's default level is not lowered.
FULL_IMAGES = 1024
#: Calibration images that the vendor takes when a script says nothing.
VENDOR_CALIBRATION_IMAGES = 64
#: Calibration images that a level's own work is made for (user_pains.md C).
IMAGES_OF_LEVEL: Mapping[int, int] = {-100: 0, 0: 64, 1: 64, 2: 1024, 3: 256, 4: 1024}
#: Passes over the images that a level trains for: a fine-tune, AdaRound.
EPOCHS_OF_LEVEL: Mapping[int, int] = {2: 4, 3: 320, 4: 320}
#: Share of the weights that each compression level puts into 4 bits.
FOUR_BIT_SHARE: Mapping[int, float] = {0: 0.0, 1: 0.2, 2: 0.4, 3: 0.6, 4: 0.8, 5: 1.0}

_Own = TypeVar("_Own", bound="Options")


@dataclass(frozen=True)
class Options:
    """A group of options; plain JSON on the way from the host to the worker."""

    @classmethod
    def read(cls: Type[_Own], given: Optional[Mapping[str, Any]]) -> _Own:
        """Return the group from a plan; what it leaves out has its default."""
        found: Dict[str, object] = {}
        for one in fields(cls):
            if given is not None and one.name in given:
                value = given[one.name]
                found[one.name] = tuple(value) if isinstance(value, list) else value
        return cls(**found)

    def plain(self) -> Dict[str, object]:
        """Return the group as JSON has it."""
        found: Dict[str, object] = asdict(self)
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in found.items()
        }


#: ONNX opsets that users saw parsed; of others nothing is known, either way.
KNOWN_OPSETS = (8, 17)


def unknown_opset(opset: int) -> Tuple[str, str]:
    """Return what is said of another opset, and what to do."""
    message = "opset %d; %d to %d are known to be parsed" % (opset, *KNOWN_OPSETS)
    return message, "export with opset 11 or 13 (torch.onnx.export(..., dynamo=False))"


@dataclass(frozen=True)
class ExportOptions(Options):
    """How torch becomes ONNX; ``tolerance`` bounds max |torch - onnx| / max |torch|."""

    exporter: Exporter = "legacy"
    opset: int = 13
    simplify: Simplifier = False
    tolerance: float = 1e-4


@dataclass(frozen=True)
class CalibrationOptions(Options):
    """Which of the calibration pictures are taken; fewer than ``minimum`` are an error."""

    count: int = FULL_IMAGES
    minimum: int = 8
    seed: int = 0
    deduplicate: bool = True


@dataclass(frozen=True)
class NmsOptions(Options):
    """Non-maximum suppression in the HEF.

    ``family`` is one of :data:`hefsmith_worker.contract.families.META_ARCHS`, ``config`` the
    name of a JSON of the user's own. Scores and overlaps below and above ``score`` and ``iou``
    (0..1) drop a box; each class keeps ``max_boxes`` at most.
    """

    enabled: bool = True
    engine: NmsEngine = "auto"
    family: Optional[str] = None
    config: Optional[str] = None
    score: float = 0.2
    iou: float = 0.7
    max_boxes: int = 100
    classes: Optional[int] = None


@dataclass(frozen=True)
class OptimizeOptions(Options):
    """What the compiler's model optimisation is asked for, and what the outputs mean to it."""

    level: Optional[int] = None
    compression: int = 0
    batch_size: int = 8
    outputs_16bit: bool = False
    script: Tuple[str, ...] = ()
    task: Optional[str] = None
    softmax: bool = False
    nms: NmsOptions = field(default_factory=NmsOptions)

    @classmethod
    def read(cls, given: Optional[Mapping[str, Any]]) -> OptimizeOptions:
        """Return the group from a plan, its NMS too."""
        rest = {name: value for name, value in (given or {}).items() if name != "nms"}
        found = super().read(rest)
        values = {one.name: getattr(found, one.name) for one in fields(cls)}
        values["nms"] = NmsOptions.read((given or {}).get("nms"))
        return cls(**values)


@dataclass(frozen=True)
class SampleOptions(Options):
    """How many golden samples there are, and which."""

    count: int = 64
    seed: int = 0


@dataclass(frozen=True)
class AnalyzeOptions(Options):
    """How an analysis goes: on how many golden samples (``None``: all), and layer by layer."""

    samples: Optional[int] = None
    layers: bool = True


#: The groups with their defaults, for whoever needs one of those.
EXPORT = ExportOptions()
CALIBRATION = CalibrationOptions()
NMS = NmsOptions()
OPTIMIZE = OptimizeOptions()
SAMPLES = SampleOptions()
