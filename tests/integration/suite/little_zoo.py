"""A little Model Zoo of our own making: two networks in the vendor's layout and words."""

from __future__ import annotations

import json
from pathlib import Path

BASE = """\
network: {network_name: null}
paths: {network_path: null, alls_script: null}
parser:
  nodes: [null, null]
  normalization_params: {normalize_in_net: true, mean_list: null, std_list: null}
preprocessing: {network_type: null, meta_arch: null, input_shape: null, padding_color: 0}
evaluation: {classes: 1, data_set: null}
quantization: {calib_set: ["${evaluation.data_set}"]}
info: {task: N/A, supported_hw_arch: [hailo8, hailo8l]}
"""
YOLO = """\
base:
- base/base.yaml
preprocessing: {network_type: detection, meta_arch: yolo_v5, padding_color: 114}
postprocessing:
  meta_arch: nanodet_v8
  score_threshold: 0.001
  nms_iou_thresh: 0.7
  nms_max_output_per_class: 100
  device_pre_post_layers: {nms: true}
  hpp: true
evaluation: {classes: 80}
info: {task: object detection}
"""
DETECTOR = """\
base:
- base/yolo.yaml
network: {network_name: little_yolo}
paths:
  network_path: [models_files/little_yolo.onnx]
  alls_script: little_yolo.alls
parser:
  nodes:
  - null
  - - /model.22/cv2.0/cv2.0.2/Conv
    - /model.22/cv3.0/cv3.0.2/Conv
    - /model.22/cv2.1/cv2.1.2/Conv
    - /model.22/cv3.1/cv3.1.2/Conv
    - /model.22/cv2.2/cv2.2.2/Conv
    - /model.22/cv3.2/cv3.2.2/Conv
preprocessing: {input_shape: [64, 64, 3]}
"""
DETECTOR_SCRIPT = """\
normalization1 = normalization([0.0, 0.0, 0.0], [255.0, 255.0, 255.0])
change_output_activation(conv42, sigmoid)
change_output_activation(conv53, sigmoid)
change_output_activation(conv63, sigmoid)
nms_postprocess("../../../postprocess_config/little_yolo_nms.json", meta_arch=yolov8, engine=cpu)
"""
CLASSIFIER = """\
base: [base/base.yaml]
network: {network_name: little_digits}
paths: {network_path: [models_files/digits.onnx], alls_script: little_digits.alls}
preprocessing: {meta_arch: mobilenet_ssd, input_shape: [32, 32, 1]}
evaluation: {classes: 10}
info: {task: classification}
"""
CLASSIFIER_SCRIPT = "normalization1 = normalization([0.0], [255.0])\n"


def _nms() -> str:
    names = (("conv41", "conv42"), ("conv52", "conv53"), ("conv62", "conv63"))
    decoders = [
        {
            "name": f"bbox_decoder{reg.removeprefix('conv')}",
            "stride": 8 << index,
            "reg_layer": reg,
            "cls_layer": cls,
        }
        for index, (reg, cls) in enumerate(names)
    ]
    document = {
        "nms_scores_th": 0.2,
        "nms_iou_th": 0.7,
        "image_dims": [64, 64],
        "max_proposals_per_class": 100,
        "classes": 80,
        "regression_length": 16,
        "background_removal": False,
        "background_removal_index": 0,
        "bbox_decoders": decoders,
    }
    return json.dumps(document, indent=2)


def write(cfg: Path) -> None:
    """Write the zoo's ``cfg`` folder."""
    files = {
        "base/base.yaml": BASE,
        "base/yolo.yaml": YOLO,
        "networks/little_yolo.yaml": DETECTOR,
        "networks/little_digits.yaml": CLASSIFIER,
        "alls/hailo8l/base/little_yolo.alls": DETECTOR_SCRIPT,
        "alls/generic/little_digits.alls": CLASSIFIER_SCRIPT,
        "postprocess_config/little_yolo_nms.json": _nms(),
    }
    for name, text in files.items():
        path = cfg / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
