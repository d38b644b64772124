"""What goes in and what comes out of building a calibration set, as plain data."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple, Union

from hefsmith_worker.contract.findings import ERROR, Finding
from hefsmith_worker.contract.options import CALIBRATION
from hefsmith_worker.pictures import Preprocess

#: The name under which one source serves the only (or every) input.
ANY_INPUT = "*"


class CalibrationError(Exception):
    """A source, a file or the whole set cannot be used.

    ``code`` is stable (``calib.empty``), ``fix`` says what to do, ``where`` names the file.
    """

    def __init__(
        self, message: str, code: str = "calib", fix: Optional[str] = None, where: str = ""
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.fix = fix
        self.where = where

    def __reduce__(self) -> Any:
        return (type(self), (self.message, self.code, self.fix, self.where))


@dataclass(frozen=True)
class ImageProgress:
    """``done`` of ``total`` units are finished."""

    done: int
    total: int
    unit: str = "images"


Emit = Callable[[Union[Finding, ImageProgress]], None]


def ignore(event: Union[Finding, ImageProgress]) -> None:
    """Be an ``emit`` for callers that do not listen."""


@dataclass(frozen=True)
class InputSpec:
    """One network input: its ONNX name and how its pictures are prepared."""

    name: str
    preprocess: Preprocess

    def to_dict(self) -> Dict[str, object]:
        """Return JSON data that :meth:`from_dict` reads."""
        return {"name": self.name, "preprocess": self.preprocess.to_dict()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> InputSpec:
        """Read what :meth:`to_dict` wrote (or a recipe's preprocessing section)."""
        return cls(str(data["name"]), Preprocess.from_dict(data["preprocess"]))


@dataclass(frozen=True)
class Source:
    """Where pictures or arrays come from.

    path
        A folder, glob, list file, ``.npy``/``.npz``, tar, zip, video, COCO or YOLO data set.
    kind
        ``auto`` looks at the path; else one of
        ``folder, glob, list, npy, npz, tar, zip, video, coco, yolo``.
    images
        COCO only: the folder of the pictures, when the JSON file does not stand beside it.
    masks
        A folder of pictures of class numbers, called like those of ``path``: what segmentation
        is measured by.
    split
        YOLO only: which list of the data set (train, val, test); by default train for
        calibration and val for samples.
    interval_s
        Video only: seconds between frames.
    mounts
        (folder on the host, folder here) pairs for paths that stand inside list files and
        data sets; see :func:`hefsmith_worker.calibration.look_around`.
    """

    path: str
    kind: str = "auto"
    images: Optional[str] = None
    split: Optional[str] = None
    masks: Optional[str] = None
    interval_s: float = 1.0
    mounts: Tuple[Tuple[str, str], ...] = ()

    @classmethod
    def from_value(cls, value: Any) -> Source:
        """Read a path, or a mapping with ``path`` and options."""
        if isinstance(value, Source):
            return value
        if isinstance(value, Mapping):
            unknown = set(value) - set(cls.__dataclass_fields__)
            if unknown or "path" not in value:
                msg = f"calibration source: unknown or missing keys in {dict(value)!r}"
                raise CalibrationError(
                    msg,
                    "calib.source",
                    f"Known keys: {', '.join(cls.__dataclass_fields__)}; path is needed.",
                )
            given = {key: item for key, item in value.items() if item is not None}
            given["mounts"] = tuple(tuple(pair) for pair in given.get("mounts", ()))
            return cls(**given)
        return cls(str(value))


Sources = Dict[str, Source]


def read_sources(value: Any) -> Sources:
    """Read a source for all inputs, or a mapping from input name to source."""
    if isinstance(value, Mapping) and "path" not in value:
        return {str(name): Source.from_value(item) for name, item in value.items()}
    return {ANY_INPUT: Source.from_value(value)}


@dataclass(frozen=True)
class CalibrationRequest:
    """Everything that decides a calibration set.

    inputs
        Network inputs in the order of the ONNX file.
    sources
        By input name, or ``*`` for all (see :func:`read_sources`).
    count, minimum
        Images wanted; fewer than ``minimum`` usable ones is an error.
    seed
        Decides the choice and random crops.
    level
        Optimisation level asked for (``None``: the compiler's default of 2): it decides how
        many images are enough.
    weighs_level
        Whether to compare the images with what the level wants. A build leaves that to its
        stage optimize: pictures are prepared alike for every level.
    validation
        Sources that must not share a picture with this set.
    script
        The user's own ``.alls`` lines: looked at for a second normalisation.
    drop_duplicates
        Leave out near-duplicates of images that were chosen already.
    model
        The float ONNX file for the test on eight of the arrays; ``None`` skips the test.
    labels
        Class names for the summary of that test.
    task
        ``classification``, ``detection`` or another word of the recipe.
    workers
        Processes that decode; ``None`` means one for each core.
    """

    inputs: Tuple[InputSpec, ...]
    sources: Mapping[str, Source]
    count: int = CALIBRATION.count
    minimum: int = CALIBRATION.minimum
    seed: int = CALIBRATION.seed
    level: Optional[int] = None
    weighs_level: bool = True
    validation: Optional[Mapping[str, Source]] = None
    script: Tuple[str, ...] = ()
    drop_duplicates: bool = CALIBRATION.deduplicate
    model: Optional[str] = None
    labels: Tuple[str, ...] = ()
    task: Optional[str] = None
    workers: Optional[int] = None

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> CalibrationRequest:
        """Read JSON data: the fields above, with sources as paths or mappings."""
        given = dict(data)
        given["inputs"] = tuple(InputSpec.from_dict(item) for item in given["inputs"])
        given["sources"] = read_sources(given["sources"])
        if given.get("validation") is not None:
            given["validation"] = read_sources(given["validation"])
        for name in ("script", "labels"):
            given[name] = tuple(given.get(name) or ())
        return cls(**given)


@dataclass(frozen=True)
class ChannelStatistics:
    """One channel of a prepared set; ``histogram`` has 256 counts.

    Pictures are in units of 0..255; for data that are no pictures the units are their own and
    the histogram spans the range of a sample of the rows.
    """

    minimum: float
    maximum: float
    mean: float
    std: float
    histogram: Tuple[int, ...]


@dataclass(frozen=True)
class CalibratedInput:
    """The array of one input: ``file`` is (N, H, W, C) uint8 (float32 when made on the host).

    Features are (N, F).

    ``digest`` is the sha256 over all that decides the content: the digests of the pictures in
    row order, the preprocessing, the seed and the versions of Pillow and numpy. So a set of
    gigabytes need not be read again to be named.
    """

    name: str
    file: str
    digest: str
    shape: Tuple[int, ...]
    dtype: str
    channels: Tuple[ChannelStatistics, ...]


@dataclass(frozen=True)
class FloatCheck:
    """What the float model answers on a few of the calibration arrays themselves.

    ``confidence`` is the mean of the best score of each, ``swapped_confidence`` the same with
    red and blue exchanged; ``right`` counts answers equal to the folder's label, when known.
    """

    names: Tuple[str, ...]
    answers: Tuple[str, ...]
    confidence: Optional[float] = None
    swapped_confidence: Optional[float] = None
    right: Optional[int] = None


@dataclass(frozen=True)
class CalibrationSet:
    """A finished set. ``names`` and ``digests`` (of the stored pictures) are in row order."""

    inputs: Tuple[CalibratedInput, ...]
    names: Tuple[str, ...]
    digests: Tuple[str, ...]
    asked: int
    available: int
    dropped_duplicates: int
    unreadable: Tuple[str, ...]
    findings: Tuple[Finding, ...]
    float_check: Optional[FloatCheck] = None
    library: str = ""

    @property
    def used(self) -> int:
        """Number of images in the set."""
        return len(self.names)

    @property
    def errors(self) -> Tuple[Finding, ...]:
        """The findings that must stop a build."""
        return tuple(item for item in self.findings if item.severity == ERROR)

    def to_dict(self) -> Dict[str, object]:
        """Return JSON data for the manifest and the report."""
        return {**asdict(self), "findings": [finding.to_json() for finding in self.findings]}


@dataclass(frozen=True)
class Samples:
    """Prepared pictures with what is known about them, for golden inputs and evaluation.

    arrays
        By input name: (N, H, W, C) uint8.
    labels
        Class index or ``None`` for each sample.
    boxes
        For each sample ``None`` or rows [y_min, x_min, y_max, x_max, class]: 0..1 in the frame
        of the *prepared* picture (letterbox included), as the chip's NMS answers.
    folders
        How many names of classes the whole source has.
    masks
        For each sample ``None`` or class numbers by pixel of the prepared picture, uint8 (H, W),
        255 where nobody says.
    """

    names: Tuple[str, ...]
    digests: Tuple[str, ...]
    arrays: Mapping[str, Any]
    labels: Tuple[Optional[int], ...]
    boxes: Tuple[Optional[List[List[float]]], ...]
    findings: Tuple[Finding, ...] = field(default=())
    folders: int = 0
    masks: Tuple[Any, ...] = ()
