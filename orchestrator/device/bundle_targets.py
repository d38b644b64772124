"""What a bundle can be for: one row each. A new target is a new row of :data:`TARGETS`.

A row says which source the bundle's own program starts with, what the README says, which models
it cannot run and why, and which files it adds. Frigate's keys are those of its documentation for
Hailo detectors; hailo-apps reads labels from a JSON file whose entry 0 stands for no class;
Ultralytics' are what its Hailo backend reads (``ultralytics`` 8.4.190).
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hefsmith_worker.contract import chips

from orchestrator.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orchestrator.device.bundle_model import BundleModel

#: What the Home Assistant program and the camera programs are.
_LIVE = """
    python3 live.py --check
    python3 live.py{arguments}
    python3 live.py --web 8080        a page for browsers and phones on your network
    python3 live.py --show window     on the Pi's own screen
    python3 run.py picture.jpg --save seen.png

`live.py --help` has the rest: other cameras, films, a size, a score, JSON. `hailo_model.py` is the
part to import into your own program. To start it with the Pi: `hef deploy {model} --device PI`.
"""

_PYTHON = """
    python3 run.py picture.jpg
    python3 run.py picture.jpg --save seen.png
    python3 live.py --source film.mp4 --web 8080

`hailo_model.py` is the part to import into your own program. `live.py` runs on cameras, streams
and films (`python3 live.py --help`); `python3 live.py --check` says what is missing.
"""

_HOME = """
    python3 live.py --check --mqtt mqtt://USER@BROKER
    MQTT_PASSWORD=... python3 live.py --mqtt mqtt://USER@BROKER

Home Assistant finds the device by itself (its MQTT integration, discovery switched on): how many
objects there are, one sensor for each class, and whether the program runs. Needs python3-paho-mqtt.
"""

_FRIGATE = """
1. Copy `{hef}` and `labelmap.txt` to `model_cache/` in Frigate's config folder.
2. Put the lines of `frigate.yml` into Frigate's `config.yml`.
3. Restart Frigate.

Frigate brings HailoRT of its own in its container; the driver of the machine must have the same
version. Its log says so when it has not. Before that, `python3 run.py picture.jpg` shows whether
the model works on this chip. Frigate stretches its regions to {width} x {height}{letterbox}.
"""

_HAILO_APPS = """
    hailo-detect --hef-path {hef} --labels-json labels.json --input rpi

With the older hailo-rpi5-examples:

    python3 basic_pipelines/detection.py --hef-path {hef} --labels-json labels.json --input rpi

`python3 run.py picture.jpg` shows whether the model works, without GStreamer.
"""

_ULTRALYTICS = """
    from ultralytics import YOLO

    for result in YOLO("{folder}").predict("picture.jpg", task="{yolo_task}"):
        print(result)

The name of the folder must end in `_hailo_model`. Needs Ultralytics 8.4.97 or newer (segmentation
8.4.190), with HailoRT's Python package in the same environment. Ultralytics gives the chip RGB
pixels, letterboxed with grey for boxes{differs}.
"""


@dataclass(frozen=True, kw_only=True)
class Target:
    """One thing that a bundle can be for.

    ``refuse`` returns why a model cannot be used there, or ``None``; ``texts`` the texts of files
    that the target needs, by name. Without ``programs`` the bundle has none of ours.
    """

    name: str
    readme: str
    source: str = "picamera2"
    refuse: Callable[[BundleModel], str | None] = lambda _: None
    texts: Callable[[BundleModel], Mapping[str, str]] = lambda _: {}
    programs: bool = True
    folder: str = "{model}-{arch}-{target}"

    def folder_of(self, model: BundleModel) -> str:
        """Return the name that the folder gets where the user names none."""
        return self.folder.format(model=model.model, arch=model.arch, target=self.name)

    def check(self, model: BundleModel) -> None:
        """Raise :class:`~orchestrator.errors.ConfigError` when it cannot run such a model."""
        reason = self.refuse(model)
        if reason is not None:
            msg = f"{model.model} cannot be used with {self.name}: {reason}"
            hint = "--for python works for every model."
            raise ConfigError(msg, hint=hint, code="bundle.target")


def _several_inputs(model: BundleModel) -> str | None:
    count = len(model.inputs)
    return None if count == 1 else f"it has {count} inputs, a camera gives one picture"


def _no_boxes(model: BundleModel) -> str | None:
    if model.has_boxes and len(model.inputs) == 1:
        return None
    return "it runs detectors with one input whose HEF gives boxes, and this one does not"


def _not_for_frigate(model: BundleModel) -> str | None:
    chip = chips.by_name().get(model.arch)
    if chip is None or chip.line is not chips.LINE_3:
        return f"Frigate drives Hailo-8 and Hailo-8L; this model is for {model.arch}"
    return _no_boxes(model)


def _not_for_ultralytics(model: BundleModel) -> str | None:
    preprocess = model.inputs[0].preprocess
    if len(model.inputs) != 1 or preprocess.get("color") != "rgb":
        return "Ultralytics gives a network one picture in RGB, and this one takes something else"
    if preprocess.get("normalize") == "host":
        return (
            "its backend gives raw pixels, and this model wants normalised ones (normalize: host)"
        )
    if model.task == "classification":
        return (
            None
            if model.probabilities
            else (
                "its backend takes what a classifier gives as probabilities; this one gives scores "
                "(end it after its softmax)"
            )
        )
    if model.has_boxes or (model.task == "segmentation" and model.head is None):
        return None
    return (
        "its backend wants the outputs as Ultralytics' own export orders them, or boxes made in "
        "the HEF (nms)"
    )


def _frigate(model: BundleModel) -> Mapping[str, str]:
    """Return the lines for ``config.yml``, and the label map: number and name, from 0."""
    height, width = model.inputs[0].preprocess["size"]
    color = "bgr" if model.inputs[0].preprocess.get("color") == "bgr" else "rgb"
    lines = [
        "detectors:",
        "  hailo:",
        "    type: hailo8l  # Frigate's name for Hailo-8 and Hailo-8L alike",
        "    device: PCIe",
        "",
        "model:",
        f"  width: {width}",
        f"  height: {height}",
        "  input_tensor: nhwc",
        f"  input_pixel_format: {color}",
        "  input_dtype: int",
        "  model_type: yolo-generic",
        f"  path: {json.dumps('/config/model_cache/' + model.hef_name)}",
        "  labelmap_path: /config/model_cache/labelmap.txt",
    ]
    if model.labels:
        tracked = (f"    - {_quoted(label)}" for label in model.labels)
        lines += ["", "objects:", "  track:", *tracked]
    labels = "".join(f"{number} {label}\n" for number, label in enumerate(model.labels))
    return {"frigate.yml": "\n".join(lines) + "\n", "labelmap.txt": labels}


def _hailo_apps(model: BundleModel) -> Mapping[str, str]:
    """Return the labels file: HailoRT's first class has number 1 there."""
    document = {
        "detection_threshold": model.score,
        "max_boxes": 200,
        "labels": ["unlabeled", *model.labels],
    }
    return {"labels.json": json.dumps(document, indent=2, ensure_ascii=False) + "\n"}


def _ultralytics(model: BundleModel) -> Mapping[str, str]:
    """Return ``metadata.yaml``; JSON is YAML, and quotes labels that YAML takes for something."""
    height, width = model.inputs[0].preprocess["size"]
    names = dict(enumerate(model.labels)) or {0: "object"}
    fields = {
        "description": f"{model.model} for {model.arch}, built by hefsmith",
        "task": yolo_task(model),
        "batch": 1,
        "imgsz": [height, width],
        # Sizes are rounded up to whole strides there, and the HEF takes its own size only.
        "stride": math.gcd(height, width, 32),
        "channels": 3,
        "hailo_arch": model.arch,
        "nms": model.has_boxes,
        "end2end": False,
        "semantic_baked": False,
        "args": {"batch": 1},
    }
    lines = [f"{key}: {json.dumps(value)}" for key, value in fields.items()]
    lines += ["names:", *(f"  {number}: {_quoted(name)}" for number, name in names.items())]
    return {"metadata.yaml": "\n".join(lines) + "\n"}


def _quoted(text: str) -> str:
    """Return a text as YAML: JSON is YAML, but for characters that JSON writes as two halves."""
    return json.dumps(text, ensure_ascii=False)


def yolo_task(model: BundleModel) -> str:
    """Return Ultralytics' word for the task."""
    words = {"classification": "classify", "segmentation": "semantic"}
    return words.get(model.task, "detect")


TARGETS: Final[Mapping[str, Target]] = {
    row.name: row
    for row in (
        Target(name="python", readme=_PYTHON),
        Target(name="picamera2", readme=_LIVE, refuse=_several_inputs),
        Target(name="usb", readme=_LIVE, source="usb:0", refuse=_several_inputs),
        Target(name="rtsp", readme=_LIVE, source="rtsp://CAMERA/stream", refuse=_several_inputs),
        Target(name="home-assistant", readme=_HOME, refuse=_several_inputs),
        Target(name="frigate", readme=_FRIGATE, refuse=_not_for_frigate, texts=_frigate),
        Target(name="hailo-apps", readme=_HAILO_APPS, refuse=_no_boxes, texts=_hailo_apps),
        Target(
            name="ultralytics",
            readme=_ULTRALYTICS,
            refuse=_not_for_ultralytics,
            texts=_ultralytics,
            programs=False,
            folder="{model}_hailo_model",
        ),
    )
}


def target_of(name: str) -> Target:
    """Return a row; raises :class:`~orchestrator.errors.ConfigError` where there is none."""
    from orchestrator.errors import escape_control

    if name not in TARGETS:
        msg = f"--for: unknown target {escape_control(name)!r}"
        raise ConfigError(msg, hint=f"Targets: {', '.join(TARGETS)}.")
    return TARGETS[name]
