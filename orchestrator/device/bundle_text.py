"""The texts of a bundle: README, and the settings of the programs that it is for.

Frigate's keys are those of its documentation for Hailo detectors; hailo-apps reads labels from
a JSON file whose entry 0 stands for no class.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestrator.device.bundle_model import BundleModel, Target

_EMULATED = """
**Emulated.** This HEF was made without Hailo's compiler. No Hailo chip can run it; it runs on
hefsmith's stand-in only. Build the model with Hailo's suite before you use it.
"""

_NEEDS = (
    "Python 3.9 or newer with numpy, Pillow and HailoRT's own package:\n\n"
    "    sudo apt install python3-numpy python3-pil python3-hailort\n\n"
    "(for Hailo-10H python3-h10-hailort instead of the last one)."
)

_PYTHON = """
    python3 run.py picture.jpg
    python3 run.py picture.jpg --save seen.png

`hailo_model.py` is the part to import into your own program.
"""

_CAMERA = """
    python3 camera.py
    python3 run.py picture.jpg

Needs python3-picamera2. `hailo_model.py` is the part to import into your own program.
"""

_FRIGATE = """
1. Copy `{hef}` and `labelmap.txt` to `model_cache/` in Frigate's config folder.
2. Put the lines of `frigate.yml` into Frigate's `config.yml`.
3. Restart Frigate.

Before that, `python3 run.py picture.jpg` shows whether the model works on this chip. Frigate
stretches its regions to {width} x {height}{letterbox}.
"""

_HAILO_APPS = """
    hailo-detect --hef-path {hef} --labels-json labels.json --input rpi

With the older hailo-rpi5-examples:

    python3 basic_pipelines/detection.py --hef-path {hef} --labels-json labels.json --input rpi

`python3 run.py picture.jpg` shows whether the model works, without GStreamer.
"""


def readme(model: BundleModel, target: Target) -> str:
    """Return ``README.md``."""
    texts = {
        "python": _PYTHON,
        "picamera2": _CAMERA,
        "frigate": _FRIGATE,
        "hailo-apps": _HAILO_APPS,
    }
    preprocess = model.inputs[0].preprocess
    height, width = preprocess["size"]
    other = preprocess.get("resize") not in (None, "stretch")
    how = texts[target].format(
        hef=model.hef_name,
        width=width,
        height=height,
        letterbox=f"; this model was calibrated with {preprocess['resize']}, expect some loss"
        if other
        else "",
    )
    parts = [
        f"# {model.model} for {model.arch}",
        _EMULATED.strip() if model.emulated else "",
        f"Task: {model.task}. Input: {_input(preprocess)}",
        _NEEDS,
        how.strip("\n"),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _input(preprocess: Any) -> str:
    height, width = preprocess["size"]
    owner = {
        "chip": "raw 8-bit pixels; the HEF normalises",
        "host": "normalised on the host",
        "none": "raw 8-bit pixels",
    }[preprocess.get("normalize", "chip")]
    return (
        f"{height} x {width} {preprocess.get('color', 'rgb')}, "
        f"{preprocess.get('resize', 'stretch')}, {owner}."
    )


def frigate_config(model: BundleModel) -> str:
    """Return the lines for Frigate's ``config.yml``."""
    preprocess = model.inputs[0].preprocess
    height, width = preprocess["size"]
    color = "bgr" if preprocess.get("color") == "bgr" else "rgb"
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
        "",
        "objects:",
        "  track:",
        *(f"    - {json.dumps(label)}" for label in model.labels),
    ]
    if not model.labels:
        lines = lines[:-2]
    return "\n".join(lines).rstrip("\n") + "\n"


def frigate_labels(model: BundleModel) -> str:
    """Return Frigate's label map: number and name on each line, from 0 in the HEF's order."""
    return "".join(f"{number} {label}\n" for number, label in enumerate(model.labels))


def hailo_apps_labels(model: BundleModel) -> str:
    """Return the labels file of hailo-apps: HailoRT's first class has number 1 there."""
    document = {
        "detection_threshold": model.score,
        "max_boxes": 200,
        "labels": ["unlabeled", *model.labels],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
