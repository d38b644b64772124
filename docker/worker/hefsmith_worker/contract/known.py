"""Settings that are known to keep the accuracy of a family of networks, each with its source.

They are proposed, never forced: ``hef tune`` tries them first. What holds for one chip and one
version of the compiler may not hold for another.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, List, Mapping, Optional, Tuple

from hefsmith_worker.contract.options import FULL_IMAGES

_PULLS = "https://github.com/ultralytics/ultralytics/pull/"
_ZOO = (
    "https://github.com/hailo-ai/hailo_model_zoo/blob/c83fc030e862de8daf05b783f503712d168ef620/"
    "hailo_model_zoo/cfg/alls/generic/"
)


@dataclass(frozen=True)
class KnownSettings:
    """Settings for networks whose family, task and layers fit.

    ``family`` and ``task`` are patterns of the head finder's words, ``layers`` types of layers that
    must all be there. It needs ``images`` calibration pictures at least, and less than ``below``.
    ``script`` are lines of the model script, where ``{images}`` is how many pictures there are.
    """

    name: str
    said: str
    source: str
    family: str = "*"
    task: str = "*"
    layers: Tuple[str, ...] = ()
    images: int = 0
    below: Optional[int] = None
    level: Optional[int] = None
    outputs_16bit: bool = False
    script: Tuple[str, ...] = ()

    def lines(self, images: int) -> Tuple[str, ...]:
        """Return the lines of the script for a number of pictures."""
        return tuple(line.replace("{images}", str(images)) for line in self.script)


_FINE_TUNE = "post_quantization_optimization(finetune, policy=enabled, dataset_size={images})"

#: The more special first.
KNOWN: Tuple[KnownSettings, ...] = (
    KnownSettings(
        "YOLO26 detection",
        "the Model Zoo's own settings: 16-bit outputs, and AdaRound at level 4",
        _PULLS + "25687",
        family="yolov26",
        task="detection",
        images=FULL_IMAGES,
        level=4,
        outputs_16bit=True,
        script=("post_quantization_optimization(adaround, policy=enabled, batch_size=8)",),
    ),
    KnownSettings(
        "YOLO26 detection, few pictures",
        "16-bit outputs and a fine-tune: below 1024 pictures AdaRound is left out in silence",
        _PULLS + "25687",
        family="yolov26",
        task="detection",
        below=FULL_IMAGES,
        level=2,
        outputs_16bit=True,
        script=(_FINE_TUNE,),
    ),
    KnownSettings(
        "segmentation, pose and oriented boxes of YOLO",
        "a fine-tune on as many pictures as there are; measured there on a Hailo-8L",
        _PULLS + "25283",
        family="yolov*",
        task="[sop]*",
        level=2,
        script=(_FINE_TUNE,),
    ),
    KnownSettings(
        "YOLO detection",
        "a fine-tune told how many pictures there are: the default level is lowered in silence, "
        "which ruined the boxes behind good scores (mAP50 0.069, and 0.529 so)",
        _PULLS + "25231",
        family="yolov*",
        task="detection",
        level=2,
        script=(_FINE_TUNE,),
    ),
    KnownSettings(
        "transformer",
        "16 bits for the sums that carry a transformer's values from block to block, and products "
        "corrected, as 40 of the Model Zoo's own scripts have it (ViT, DeiT, LeViT, CLIP); the "
        "products themselves stay in 8 bits, which a Hailo-8 has for them only",
        _ZOO + "vit_base.alls",
        layers=("matmul", "ew_add"),
        script=(
            "pre_quantization_optimization(ew_add_fusing, policy=disabled)",
            (
                "pre_quantization_optimization(matmul_correction, layers={matmul*}, "
                "correction_type=zp_comp_block)"
            ),
            "quantization_param({ew_add*}, precision_mode=a16_w16)",
        ),
    ),
    KnownSettings(
        "attention",
        "attention blocks lose more in 8 bits: a fine-tune on pictures of the own domain",
        _PULLS + "25260",
        layers=("matmul",),
        level=2,
        script=(_FINE_TUNE,),
    ),
    KnownSettings(
        "maps of numbers (depth)",
        "16-bit outputs, as Ultralytics' exporter has for depth",
        _PULLS + "25348",
        task="depth",
        outputs_16bit=True,
    ),
)


def known_for(
    head: Mapping[str, Any], layers: Tuple[str, ...], images: int
) -> Tuple[KnownSettings, ...]:
    """Return what is known for a network: its head's report, the types of its layers."""
    family, task = str(head.get("family") or "other"), _task(head)
    return tuple(
        row
        for row in KNOWN
        if fnmatchcase(family, row.family)
        and fnmatchcase(task, row.task)
        and set(row.layers) <= set(layers)
        and images >= row.images
        and (row.below is None or images < row.below)
    )


def _task(head: Mapping[str, Any]) -> str:
    """Return the task; one map with one channel is taken for depth."""
    task = str(head.get("task") or "other")
    shapes: List[List[int]] = list(head.get("end_shapes") or ())
    if task == "other" and len(shapes) == 1 and len(shapes[0]) == 4 and shapes[0][1] == 1:
        return "depth"
    return task
