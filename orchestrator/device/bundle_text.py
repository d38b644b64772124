"""The README of a bundle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hefsmith_worker.contract import chips

from orchestrator.device.bundle_targets import yolo_task

if TYPE_CHECKING:
    from orchestrator.device.bundle_model import BundleModel
    from orchestrator.device.bundle_targets import Target

_EMULATED = """
**Emulated.** This HEF was made without Hailo's compiler. No Hailo chip can run it; it runs on
hefsmith's stand-in only. Build the model with Hailo's suite before you use it.
"""

_NEEDS = """
Python 3.9 or newer with numpy, Pillow and HailoRT's own package, on Raspberry Pi OS:

    sudo apt install python3-numpy python3-pil {binding}

The Pi's camera needs python3-picamera2 too; USB cameras, streams and films python3-opencv.
"""


def packages_of(arch: str) -> dict[str, str]:
    """Return Debian's packages for a chip, by what they hold; none where it is not known."""
    chip = chips.by_name().get(arch)
    return dict(chip.line.packages) if chip is not None else {}


def readme(model: BundleModel, target: Target, folder: str) -> str:
    """Return ``README.md``; ``folder`` is the name of the bundle's folder."""
    preprocess = model.inputs[0].preprocess
    height, width = preprocess["size"]
    resize = preprocess.get("resize") or "stretch"
    words = {
        "model": model.model,
        "hef": model.hef_name,
        "folder": folder,
        "width": width,
        "height": height,
        "arguments": f" --source {target.source}" if target.source.startswith("rtsp") else "",
        "letterbox": ""
        if resize == "stretch"
        else f"; this model was calibrated with {resize}, expect some loss",
        "yolo_task": yolo_task(model),
        "differs": "" if resize == "letterbox" or not model.has_boxes
        else f"; this model was calibrated with {resize}, expect some loss",
    }  # fmt: skip
    binding = packages_of(model.arch).get("binding", "python3-hailort")
    parts = [
        f"# {model.model} for {model.arch}",
        _EMULATED.strip() if model.emulated else "",
        f"Task: {model.task}. Input: {_input(preprocess)}",
        _NEEDS.strip("\n").format(binding=binding) if target.programs else "",
        target.readme.format(**words).strip("\n"),
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
