"""The recipe: all that a user states about one model, as frozen dataclasses.

Nothing here touches a file. Paths stay as they were written; :mod:`.loading` resolves them
against the recipe's folder, and the plan checks that they exist.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal

from hefsmith_worker.contract import chips, options, presets, sources
from hefsmith_worker.contract.families import META_ARCHS

from orchestrator.project.section import Checked, Section, Spelled, ToldApart, Within

if TYPE_CHECKING:
    from collections.abc import Iterable

    Arch = str
else:
    #: Chips by the name that Hailo's compiler takes.
    Arch = Literal[tuple(chip.name for chip in chips.usable())]

PLAIN_NAME = re.compile(r"^[A-Za-z][A-Za-z0-9_-]{0,62}$")
#: Folders are called like models, and Windows has none that is called like a device.
MODEL_NAME = re.compile(
    rf"(?!(?i:con|prn|aux|nul|com[0-9]|lpt[0-9])$){PLAIN_NAME.pattern}",
)

SOURCE_KINDS = tuple(kind.name for kind in sources.SOURCES)


def _factory(value: str) -> str:
    file, colon, function = value.rpartition(":")
    if not colon or not file.endswith(".py") or not function.isidentifier():
        msg = "must be file.py:factory, such as model.py:build"
        raise ValueError(msg)
    return value


@dataclass(frozen=True, kw_only=True)
class Source(Section):
    """Where the network comes from: exactly one of the kinds, and for torch its weights."""

    #: ``file.py:factory``, relative to the recipe
    torch: Annotated[str, Checked(_factory)] | None = None
    weights: str | None = None
    kwargs: dict[str, object] = field(default_factory=dict)
    trust_pickle: bool = False
    onnx: str | None = None
    zoo: str | None = None
    tflite: str | None = None
    keras: str | None = None
    saved_model: str | None = None

    def __post_init__(self) -> None:
        """See to it that there is one network: ``ValueError`` says what is wrong."""
        if self.kind is None:
            msg = f"needs one of {', '.join(SOURCE_KINDS)}"
            raise ValueError(msg)
        named = [name for name in SOURCE_KINDS if getattr(self, name) is not None]
        if len(named) > 1:
            msg = f"has several sources ({', '.join(named)}); keep one"
            raise ValueError(msg)
        if self.torch is None and self.weights is not None and self.kind == "onnx":
            msg = "weights belong to a torch source; an onnx file carries its own"
            raise ValueError(msg)

    @property
    def kind(self) -> str | None:
        """The kind of source; weights alone mean a pickled or TorchScript torch module."""
        for name in SOURCE_KINDS:
            if getattr(self, name) is not None:
                return name
        return "torch" if self.weights is not None else None


def _requirement(value: str) -> str:
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        requirement = Requirement(value)
    except InvalidRequirement as error:
        msg = f"must be names as pip takes them, such as timm==1.0.20: {value!r}"
        raise ValueError(msg) from error
    if requirement.url is not None:
        msg = f"must name a release, not an address: {value!r}"
        raise ValueError(msg)
    return value


@dataclass(frozen=True, kw_only=True)
class Export(Section):
    """How torch becomes ONNX. ``tolerance`` bounds max |torch - onnx| / max |torch|.

    ``packages`` are what the network's own code needs beside torch, as pip takes them; they are
    installed where the export runs, from wheels, and nowhere else.
    """

    exporter: options.Exporter = options.EXPORT.exporter
    opset: Annotated[int, Within(ge=9, le=23)] = options.EXPORT.opset
    simplify: options.Simplifier = options.EXPORT.simplify
    tolerance: Annotated[float, Within(gt=0)] = options.EXPORT.tolerance
    packages: tuple[Annotated[str, Checked(_requirement)], ...] = ()

    @property
    def needed(self) -> tuple[str, ...]:
        """All packages that the export needs beside torch, the simplifier's among them."""
        if not self.simplify or any(one.startswith(self.simplify) for one in self.packages):
            return self.packages
        return (*self.packages, self.simplify)


def _positive(value: tuple[Any, ...] | float) -> tuple[Any, ...] | float:
    if any(not item > 0 for item in (value if isinstance(value, tuple) else (value,))):
        msg = "must be above 0"
        raise ValueError(msg)
    return value


def _known_preset(value: str) -> str:
    return _one_of(value, presets.PRESETS)


def _known_nms(value: str) -> str:
    return _one_of(value, META_ARCHS)


def _one_of(value: str, known: Iterable[str]) -> str:
    names = list(known)
    if value not in names:
        close = difflib.get_close_matches(value, names, 1)
        msg = f"must be one of {', '.join(names)}, not {value!r}"
        raise ValueError(f"{msg}; did you mean {close[0]}?" if close else msg)
    return value


@dataclass(frozen=True, kw_only=True)
class Preprocessing(Section):
    """The one definition of what happens to a picture before the network sees it.

    ``size`` is height, width in pixels; ``mean`` and ``std`` are in units of 0..255, one
    value or one per channel. ``normalize: chip`` (the default) puts them into the HEF, so that
    the device and the calibration see raw 8-bit pixels. What is left out comes from the preset,
    else from the defaults of :class:`hefsmith_worker.pictures.Preprocess`.
    """

    preset: Annotated[str, Checked(_known_preset)] | None = None
    size: Annotated[tuple[int, int] | int, Checked(_positive)] | None = None
    resize: presets.Resize | None = None
    resize_to: int | None = None
    pad: int | tuple[int, ...] | None = None
    interpolation: presets.Interpolation | None = None
    color: presets.Color | None = None
    mean: tuple[float, ...] | float | None = None
    std: Annotated[tuple[float, ...] | float, Checked(_positive)] | None = None
    normalize: presets.Normalizer | None = None


def _shared_or_by_input(value: object) -> str:
    """Tell one definition for all inputs from a mapping of input names to definitions."""
    if isinstance(value, dict):
        by_input = bool(value) and all(isinstance(part, dict) for part in value.values())
        return "by_input" if by_input else "shared"
    return "shared" if isinstance(value, Preprocessing) else "by_input"


PreprocessingField = Annotated[
    Preprocessing | dict[str, Preprocessing],
    ToldApart(_shared_or_by_input, shared=Preprocessing, by_input=dict[str, Preprocessing]),
]


@dataclass(frozen=True, kw_only=True)
class Parser(Section):
    """Where the network is cut for the chip; empty means that the graph is analysed."""

    start_nodes: tuple[str, ...] = ()
    end_nodes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class SourceOptions(Section):
    """A picture source with options (see :class:`hefsmith_worker.calibration.Source`)."""

    path: str
    kind: options.SourceForm = "auto"
    images: str | None = None
    split: str | None = None
    masks: str | None = None
    interval_s: Annotated[float, Within(gt=0)] = 1.0


def _one_or_by_input(value: object) -> str:
    if isinstance(value, str):
        return "path"
    if isinstance(value, SourceOptions) or (isinstance(value, dict) and "path" in value):
        return "options"
    return "by_input"


PictureSource = Annotated[
    str | SourceOptions | dict[str, str | SourceOptions],
    ToldApart(
        _one_or_by_input,
        path=str,
        options=SourceOptions,
        by_input=dict[str, str | SourceOptions],
    ),
]


@dataclass(frozen=True, kw_only=True)
class Calibration(Section):
    """Which pictures set the ranges: one source for all inputs, or one for each.

    Paths are relative to the recipe's folder; what is not there is looked up in the project's.
    """

    source: PictureSource
    count: Annotated[int, Within(ge=1)] = options.CALIBRATION.count
    seed: int = options.CALIBRATION.seed
    minimum: Annotated[int, Within(ge=1)] = options.CALIBRATION.minimum
    deduplicate: bool = options.CALIBRATION.deduplicate


@dataclass(frozen=True, kw_only=True)
class Optimization(Section):
    """What the compiler's model optimisation is asked for (levels of the vendor)."""

    level: options.AnyLevel | None = None
    compression: Annotated[int, Within(ge=0, le=max(options.FOUR_BIT_SHARE))] = (
        options.OPTIMIZE.compression
    )
    script: tuple[str, ...] = ()
    script_file: str | None = None
    outputs_16bit: bool = options.OPTIMIZE.outputs_16bit
    batch_size: Annotated[int, Within(ge=1)] = options.OPTIMIZE.batch_size

    @property
    def named_level(self) -> options.Level | None:
        """The level that a script shall name, ``None`` for the compiler's default."""
        return None if self.level == "auto" else self.level


@dataclass(frozen=True, kw_only=True)
class Nms(Section):
    """Non-maximum suppression that becomes part of the HEF."""

    enabled: bool = options.NMS.enabled
    engine: options.NmsEngine = options.NMS.engine
    family: Annotated[str, Checked(_known_nms)] | None = None
    #: NMS JSON of the user's own, relative to the recipe
    config: str | None = None
    score: Annotated[float, Within(ge=0, le=1)] = options.NMS.score
    iou: Annotated[float, Within(ge=0, le=1)] = options.NMS.iou
    max_boxes: Annotated[int, Within(ge=1)] = options.NMS.max_boxes
    classes: Annotated[int, Within(ge=1)] | None = None


@dataclass(frozen=True, kw_only=True)
class Postprocess(Section):
    """What the outputs mean."""

    task: options.AnyTask = "auto"
    labels: str | tuple[str, ...] | None = None
    softmax: bool = False
    nms: Nms = Nms()
    #: ``module:function`` of the user's own
    metric: str | None = None


@dataclass(frozen=True, kw_only=True)
class Thresholds(Section):
    """What the verdict demands; absent ones take the task's default.

    ``top1_drop``, ``map_drop`` and ``label_iou_drop`` are points (percent) against the float model,
    ``agreement`` and ``f1`` are fractions 0..1, ``cosine`` is the mean over the samples,
    ``snr_db`` is in decibels.
    """

    top1_drop: Annotated[float, Within(ge=0, le=100)] | None = None
    agreement: Annotated[float, Within(ge=0, le=1)] | None = None
    cosine: Annotated[float, Within(ge=-1, le=1)] | None = None
    snr_db: float | None = None
    map_drop: Annotated[float, Within(ge=0, le=100)] | None = None
    label_iou_drop: Annotated[float, Within(ge=0, le=100)] | None = None
    r2: Annotated[float, Within(le=1)] | None = None
    f1: Annotated[float, Within(ge=0, le=1)] | None = None
    mean_iou: Annotated[float, Within(ge=0, le=1)] | None = None
    metric_drop: Annotated[float, Within(ge=0)] | None = None


@dataclass(frozen=True, kw_only=True)
class Validation(Section):
    """The golden samples: run at every step, and on the device."""

    source: PictureSource | None = None
    samples: Annotated[int, Within(ge=1)] = options.SAMPLES.count
    seed: int = options.SAMPLES.seed
    thresholds: Thresholds = Thresholds()


def _chips(value: object) -> object:
    """Return one chip or several as a list; ``ValueError`` says why one cannot be built for."""
    listed = [value] if isinstance(value, str) else value
    for name in listed if isinstance(listed, list) else ():
        chip = chips.find(name) if isinstance(name, str) else None
        if chip is not None and chip.refused:
            msg = f"nothing can be built for {chip.name}: {chip.refused}"
            raise ValueError(msg)
    return listed


def _some(value: tuple[Arch, ...]) -> tuple[Arch, ...]:
    if not value:
        msg = "needs at least one chip, such as hailo8l"
        raise ValueError(msg)
    return value


def _batch_of_one(value: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    for name, shape in value.items():
        if not 2 <= len(shape) <= 4 or any(side < 1 for side in shape):
            msg = (
                f"{name}: a shape is 2 to 4 numbers above 0, batch first (1, C, H, W), "
                f"not {list(shape)}"
            )
            raise ValueError(msg)
        if shape[0] != 1:
            msg = f"{name}: the batch (first number) must be 1, not {shape[0]}"
            raise ValueError(msg)
    return value


def _plain_name(value: str) -> str:
    if not MODEL_NAME.match(value):
        msg = (
            "letters, digits, - and _ only, starting with a letter, and no device of Windows "
            "(con, aux, nul)"
        )
        raise ValueError(msg)
    return value


@dataclass(frozen=True, kw_only=True)
class Recipe(Section):
    """``models/<name>/model.yaml``."""

    schema: Literal[1] = 1
    name: Annotated[str, Checked(_plain_name)] | None = None
    description: str | None = None
    #: ``file.py:function`` that makes the pictures
    data: str | None = None
    source: Source
    inputs: Annotated[dict[str, tuple[int, ...]], Checked(_batch_of_one)] = field(
        default_factory=dict
    )
    export: Export = Export()
    preprocessing: PreprocessingField = Preprocessing()
    parser: Parser = Parser()
    calibration: Calibration
    optimization: Optimization = Optimization()
    arch: Annotated[tuple[Arch, ...], Checked(_some), Spelled(_chips)] = ("hailo8l",)
    postprocess: Postprocess = Postprocess()
    validation: Validation = Validation()
    strict: bool = False
    #: lets a project that is not the user's own read what lies outside of it
    allow_outside: bool = False

    def __post_init__(self) -> None:
        """See to it that the parts fit: ``ValueError`` says what is wrong."""
        if self.source.kind == "torch" and not self.inputs:
            msg = "a torch source needs inputs: with the name and shape of each, (1, C, H, W)"
            raise ValueError(msg)
