"""The recipe: all that a user states about one model, as frozen pydantic models.

Nothing here touches a file. Paths stay as they were written; :mod:`.loading` resolves them
against the recipe's folder, and the plan checks that they exist.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    field_validator,
    model_validator,
)

#: Chips by the name that Hailo's compiler takes, grouped by compiler line.
LINE_3_ARCHS = ("hailo8", "hailo8l", "hailo8r")
LINE_5_ARCHS = ("hailo10h", "hailo15h", "hailo15m", "hailo15l", "hailo12l")
Arch = Literal[
    "hailo8", "hailo8l", "hailo8r", "hailo10h", "hailo15h", "hailo15m", "hailo15l", "hailo12l"
]

MODEL_NAME = re.compile(r"^[A-Za-z][A-Za-z0-9_-]{0,62}$")


class Section(BaseModel):
    """A part of a recipe: unknown keys are errors, values cannot be changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(Section):
    """Where the network comes from: exactly one of the kinds, and for torch its weights."""

    torch: str | None = Field(None, description="file.py:factory, relative to the recipe")
    weights: str | None = None
    kwargs: dict[str, Any] = Field(default_factory=dict)
    trust_pickle: bool = False
    onnx: str | None = None
    zoo: str | None = None
    tflite: str | None = None
    keras: str | None = None
    saved_model: str | None = None

    @field_validator("torch")
    @classmethod
    def _factory(cls, value: str | None) -> str | None:
        if value is not None:
            file, colon, function = value.rpartition(":")
            if not colon or not file.endswith(".py") or not function.isidentifier():
                msg = "must be file.py:factory, such as model.py:build"
                raise ValueError(msg)
        return value

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if self.kind is None:
            msg = "needs one of torch, onnx, zoo, tflite, keras, saved_model"
            raise ValueError(msg)
        named = [name for name in self._kinds() if getattr(self, name) is not None]
        if len(named) > 1:
            msg = f"has several sources ({', '.join(named)}); keep one"
            raise ValueError(msg)
        if self.torch is None and self.weights is not None and self.kind == "onnx":
            msg = "weights belong to a torch source; an onnx file carries its own"
            raise ValueError(msg)
        return self

    @staticmethod
    def _kinds() -> tuple[str, ...]:
        return ("torch", "onnx", "zoo", "tflite", "keras", "saved_model")

    @property
    def kind(self) -> Literal["torch", "onnx", "zoo", "tflite", "keras", "saved_model"] | None:
        """The kind of source; weights alone mean a pickled or TorchScript torch module."""
        for name in self._kinds():
            if getattr(self, name) is not None:
                return name  # type: ignore[return-value]
        return "torch" if self.weights is not None else None


class Export(Section):
    """How torch becomes ONNX. ``tolerance`` bounds max |torch - onnx| / max |torch|.

    ``packages`` are what the network's own code needs beside torch, as pip takes them; they are
    installed where the export runs, from wheels, and nowhere else.
    """

    exporter: Literal["legacy", "dynamo"] = "legacy"
    opset: Annotated[int, Field(ge=9, le=23)] = 13
    simplify: Literal[False, "onnxslim", "onnxsim"] = False
    tolerance: Annotated[float, Field(gt=0)] = 1e-4
    packages: tuple[str, ...] = ()

    @field_validator("packages")
    @classmethod
    def _requirements(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        from packaging.requirements import InvalidRequirement, Requirement

        for one in value:
            try:
                requirement = Requirement(one)
            except InvalidRequirement as error:
                msg = f"must be names as pip takes them, such as timm==1.0.20: {one!r}"
                raise ValueError(msg) from error
            if requirement.url is not None:
                msg = f"must name a release, not an address: {one!r}"
                raise ValueError(msg)
        return value

    @property
    def needed(self) -> tuple[str, ...]:
        """All packages that the export needs beside torch, the simplifier's among them."""
        if not self.simplify or any(one.startswith(self.simplify) for one in self.packages):
            return self.packages
        return (*self.packages, self.simplify)


class Preprocessing(Section):
    """The one definition of what happens to a picture before the network sees it.

    ``size`` is height, width in pixels; ``mean`` and ``std`` are in units of 0..255, one
    value or one per channel. ``normalize: chip`` (the default) puts them into the HEF, so that
    the device and the calibration see raw 8-bit pixels. What is left out comes from the preset,
    else from the defaults of :class:`hefsmith_worker.pictures.Preprocess`.
    """

    preset: str | None = None
    size: tuple[int, int] | int | None = None
    resize: (
        Literal["stretch", "letterbox", "center_crop", "random_crop", "shorter_then_crop", "none"]
        | None
    ) = None
    resize_to: int | None = None
    pad: int | tuple[int, ...] | None = None
    interpolation: Literal["nearest", "bilinear", "bicubic", "area", "lanczos"] | None = None
    color: Literal["rgb", "bgr", "gray", "data"] | None = None
    mean: tuple[float, ...] | float | None = None
    std: tuple[float, ...] | float | None = None
    normalize: Literal["chip", "host", "none"] | None = None

    @field_validator("std")
    @classmethod
    def _positive(cls, value: tuple[float, ...] | float | None) -> tuple[float, ...] | float | None:
        values = value if isinstance(value, tuple) else () if value is None else (value,)
        if any(not item > 0 for item in values):
            msg = "must be above 0"
            raise ValueError(msg)
        return value


def _shared_or_by_input(value: object) -> str:
    """Tell one definition for all inputs from a mapping of input names to definitions."""
    if isinstance(value, dict):
        by_input = bool(value) and all(isinstance(part, dict) for part in value.values())
        return "by_input" if by_input else "shared"
    return "shared" if isinstance(value, Preprocessing) else "by_input"


PreprocessingField = Annotated[
    Annotated[Preprocessing, Tag("shared")] | Annotated[dict[str, Preprocessing], Tag("by_input")],
    Discriminator(_shared_or_by_input),
]


class Parser(Section):
    """Where the network is cut for the chip; empty means that the graph is analysed."""

    start_nodes: tuple[str, ...] = ()
    end_nodes: tuple[str, ...] = ()


class SourceOptions(Section):
    """A picture source with options (see :class:`hefsmith_worker.calibration.Source`)."""

    path: str
    kind: Literal[
        "auto", "folder", "glob", "list", "npy", "npz", "tar", "zip", "video", "coco", "yolo"
    ] = "auto"
    images: str | None = None
    split: str | None = None
    interval_s: Annotated[float, Field(gt=0)] = 1.0


def _one_or_by_input(value: object) -> str:
    if isinstance(value, str):
        return "path"
    if isinstance(value, SourceOptions) or (isinstance(value, dict) and "path" in value):
        return "options"
    return "by_input"


PictureSource = Annotated[
    Annotated[str, Tag("path")]
    | Annotated[SourceOptions, Tag("options")]
    | Annotated[dict[str, str | SourceOptions], Tag("by_input")],
    Discriminator(_one_or_by_input),
]


class Calibration(Section):
    """Which pictures set the ranges: one source for all inputs, or one for each.

    Paths are relative to the recipe's folder; what is not there is looked up in the project's.
    """

    source: PictureSource
    count: Annotated[int, Field(ge=1)] = 1024
    seed: int = 0
    minimum: Annotated[int, Field(ge=1)] = 8
    deduplicate: bool = True


class Optimization(Section):
    """What the compiler's model optimisation is asked for (levels of the vendor)."""

    level: Literal[-100, 0, 1, 2, 3, 4] | None = None
    compression: Annotated[int, Field(ge=0, le=5)] = 0
    script: tuple[str, ...] = ()
    script_file: str | None = None
    outputs_16bit: bool = False
    batch_size: Annotated[int, Field(ge=1)] = 8


class Nms(Section):
    """Non-maximum suppression that becomes part of the HEF."""

    enabled: bool = True
    engine: Literal["auto", "cpu", "nn_core"] = "auto"
    family: str | None = None
    config: str | None = Field(None, description="NMS JSON of your own, relative to the recipe")
    score: Annotated[float, Field(ge=0, le=1)] = 0.2
    iou: Annotated[float, Field(ge=0, le=1)] = 0.7
    max_boxes: Annotated[int, Field(ge=1)] = 100
    classes: Annotated[int, Field(ge=1)] | None = None


class Postprocess(Section):
    """What the outputs mean."""

    task: Literal["auto", "classification", "detection", "segmentation", "pose", "obb", "other"] = (
        "auto"
    )
    labels: str | tuple[str, ...] | None = None
    softmax: bool = False
    nms: Nms = Nms()
    metric: str | None = Field(None, description="module:function of your own")


class Thresholds(Section):
    """What the verdict demands; absent ones take the task's default.

    ``top1_drop`` and ``map_drop`` are points (percent) against the float model,
    ``agreement`` and ``f1`` are fractions 0..1, ``cosine`` is the mean over the samples,
    ``snr_db`` is in decibels.
    """

    top1_drop: Annotated[float, Field(ge=0)] | None = None
    agreement: Annotated[float, Field(ge=0, le=1)] | None = None
    cosine: Annotated[float, Field(ge=-1, le=1)] | None = None
    snr_db: float | None = None
    map_drop: Annotated[float, Field(ge=0)] | None = None
    f1: Annotated[float, Field(ge=0, le=1)] | None = None
    mean_iou: Annotated[float, Field(ge=0, le=1)] | None = None
    metric_drop: Annotated[float, Field(ge=0)] | None = None


class Validation(Section):
    """The golden samples: run at every step, and on the device."""

    source: PictureSource | None = None
    samples: Annotated[int, Field(ge=1)] = 64
    seed: int = 0
    thresholds: Thresholds = Thresholds()


class Recipe(Section):
    """``models/<name>/model.yaml``."""

    schema_: Literal[1] = Field(1, alias="schema")
    name: str | None = None
    description: str | None = None
    data: str | None = Field(None, description="file.py:function that makes the pictures")
    source: Source
    inputs: dict[str, tuple[int, ...]] = Field(default_factory=dict)
    export: Export = Export()
    preprocessing: PreprocessingField = Preprocessing()
    parser: Parser = Parser()
    calibration: Calibration
    optimization: Optimization = Optimization()
    arch: tuple[Arch, ...] = ("hailo8l",)
    postprocess: Postprocess = Postprocess()
    validation: Validation = Validation()
    strict: bool = False

    @field_validator("arch", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return [value] if isinstance(value, str) else value

    @field_validator("arch")
    @classmethod
    def _some(cls, value: tuple[Arch, ...]) -> tuple[Arch, ...]:
        if not value:
            msg = "needs at least one chip, such as hailo8l"
            raise ValueError(msg)
        return value

    @field_validator("inputs")
    @classmethod
    def _shapes(cls, value: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
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

    @field_validator("name")
    @classmethod
    def _plain_name(cls, value: str | None) -> str | None:
        if value is not None and not MODEL_NAME.match(value):
            msg = "letters, digits, - and _ only, starting with a letter"
            raise ValueError(msg)
        return value

    @model_validator(mode="after")
    def _shapes_for_torch(self) -> Self:
        if self.source.kind == "torch" and not self.inputs:
            msg = "a torch source needs inputs: with the name and shape of each, (1, C, H, W)"
            raise ValueError(msg)
        return self

    def preprocessing_of(self, input_name: str) -> Preprocessing:
        """Return the preprocessing of one input."""
        if isinstance(self.preprocessing, Preprocessing):
            return self.preprocessing
        return self.preprocessing.get(input_name, Preprocessing())
