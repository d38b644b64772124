"""Exports public architectures with random weights, and writes down which layer is which.

Runs as a program of its own (``architectures.py OUT PART PARTS``) where the packages of
``requirements.txt`` are: they are no dependency of ours, and the tests read only its files. For
each graph there are ``<name>.onnx`` and ``<name>.npz`` with the weights of the true ends in order.
"""

from __future__ import annotations

import json
import sys
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ULTRALYTICS = "ultralytics"
TORCHVISION = "torchvision"
TIMM = "timm"

YOLO_STRIDES = (8, 16, 32)


@dataclass(frozen=True)
class Graph:
    """One graph to export, and what the head finder must say of it."""

    name: str
    source: str
    config: str
    classes: int
    size: tuple[int, int]
    task: str = "detection"
    family: str = ""
    exporter: str = "legacy"
    opset: int = 13
    simplify: bool = False
    strides: tuple[int, ...] = YOLO_STRIDES
    bins: int | None = 16
    whole: bool = False  # with the selection of boxes in the graph
    roles: tuple[str, ...] = field(default=("box", "class"))


def _yolo(config: str, classes: int, size: tuple[int, int], family: str, **more: Any) -> Graph:
    task, roles = "detection", ("box", "class")
    for ending, (name, role) in {
        "-seg": ("segmentation", "mask"),
        "-pose": ("pose", "keypoints"),
        "-obb": ("oriented boxes", "angle"),
    }.items():
        if config.endswith(ending):
            task, roles = name, ("box", "class", role)
    if config.endswith("-cls"):
        roles = ("logits",)
        more.update(task="classification", strides=(), bins=None)
    exporter = more.get("exporter", "legacy")
    label = f"{config}-{classes}-{size[0]}x{size[1]}-{exporter}{more.get('opset', 13)}"
    label += "-slim" if more.get("simplify") else ""
    label += "-whole" if more.get("whole") else ""
    if family == "yolov26":
        more.setdefault("bins", None)
    more.setdefault("task", task)
    return Graph(label, ULTRALYTICS, config, classes, size, family=family, roles=roles, **more)


def _classifier(source: str, config: str, classes: int, **more: Any) -> Graph:
    size = more.pop("size", (224, 224))
    more.setdefault("opset", 14)
    label = f"{config}-{classes}-{more.get('exporter', 'legacy')}{more['opset']}"
    return Graph(
        label, source, config, classes, size, "classification", "classifier",
        strides=(), bins=None, roles=("logits",), **more,
    )  # fmt: skip


NEW = {"exporter": "dynamo", "opset": 18}
GRAPHS: tuple[Graph, ...] = (
    _yolo("yolov8n", 80, (160, 160), "yolov8", opset=11),
    _yolo("yolov8n", 1, (192, 320), "yolov8", opset=17),
    _yolo("yolov8n", 64, (160, 160), "yolov8", opset=12, simplify=True),
    _yolo("yolov8n", 3, (160, 224), "yolov8", **NEW),
    _yolo("yolov8n-p2", 4, (160, 160), "yolov8", strides=(4, 8, 16, 32)),
    _yolo("yolov8n-p6", 4, (192, 256), "yolov8", strides=(8, 16, 32, 64)),
    _yolo("yolov8n-seg", 5, (160, 160), "yolov8", opset=12),
    _yolo("yolov8n-seg", 1, (160, 192), "yolov8", **NEW),
    _yolo("yolov8n-pose", 1, (160, 160), "yolov8", opset=11),
    _yolo("yolov8n-pose", 2, (160, 192), "yolov8", simplify=True),
    _yolo("yolov8n-obb", 15, (192, 160), "yolov8", opset=16),
    _yolo("yolov8n-obb", 1, (160, 160), "yolov8", simplify=True),
    _yolo("yolov9t", 80, (160, 160), "yolov9", opset=12),
    _yolo("yolov9s", 2, (192, 160), "yolov9", simplify=True),
    _yolo("yolov10n", 80, (160, 160), "yolov10"),
    _yolo("yolov10n", 5, (192, 192), "yolov10", whole=True),
    _yolo("yolov10s", 1, (160, 224), "yolov10", simplify=True),
    _yolo("yolo11n", 80, (160, 160), "yolov11", opset=11),
    _yolo("yolo11n", 1, (160, 192), "yolov11", opset=17, simplify=True),
    _yolo("yolo11n", 6, (160, 160), "yolov11", **NEW),
    _yolo("yolo11n-seg", 4, (160, 160), "yolov11"),
    _yolo("yolo11n-pose", 1, (192, 160), "yolov11", opset=15),
    _yolo("yolo11n-obb", 7, (160, 160), "yolov11", simplify=True),
    _yolo("yolo12n", 80, (160, 160), "yolov12"),
    _yolo("yolo12n", 1, (160, 192), "yolov12", simplify=True),
    _yolo("yolo26n", 80, (160, 160), "yolov26"),
    _yolo("yolo26n", 5, (192, 192), "yolov26", whole=True),
    _yolo("yolo26n", 1, (192, 192), "yolov26", whole=True, **NEW),
    _yolo("yolo26n-seg", 3, (160, 160), "yolov26", simplify=True),
    _yolo("yolo26n-pose", 1, (160, 192), "yolov26"),
    _yolo("yolo26n-obb", 15, (160, 160), "yolov26"),
    _yolo("yolov5n", 80, (160, 160), "yolov5u", opset=12),
    _yolo("yolov6n", 4, (160, 160), "yolov6", opset=12),
    Graph("ssd300-21", TORCHVISION, "ssd300_vgg16", 21, (300, 300), family="ssd",
          strides=(8, 16, 32, 64, 100, 300), bins=None),
    Graph("ssdlite-7", TORCHVISION, "ssdlite320_mobilenet_v3_large", 7, (320, 320), family="ssd",
          strides=(16, 32, 64, 128, 160, 320), bins=None),
    Graph("retinanet-11", TORCHVISION, "retinanet_resnet50_fpn", 11, (256, 256),
          family="retinanet", strides=(8, 16, 32, 64, 128), bins=None),
    _yolo("yolov8n-cls", 10, (128, 128), "classifier"),
    _yolo("yolo11n-cls", 3, (128, 128), "classifier"),
    _classifier(TORCHVISION, "resnet18", 12),
    _classifier(TORCHVISION, "mobilenet_v2", 1000, opset=11),
    _classifier(TORCHVISION, "squeezenet1_1", 5),
    _classifier(TORCHVISION, "mobilenet_v3_small", 9, **NEW),
    _classifier(TIMM, "mobilenetv3_small_050", 17),
    _classifier(TIMM, "repvgg_a0", 8),
    _classifier(TIMM, "efficientvit_b0", 6),
    _classifier(TIMM, "convnext_atto", 4),
    Graph("lraspp-5", TORCHVISION, "lraspp_mobilenet_v3_large", 5, (160, 224), "segmentation",
          "semantic", strides=(8,), bins=None, roles=("logits",)),
    Graph("deeplabv3-21", TORCHVISION, "deeplabv3_mobilenet_v3_large", 21, (160, 224),
          "segmentation", "semantic", strides=(16,), bins=None, roles=("logits",)),
    Graph("features", TIMM, "resnet10t:features", 0, (160, 160), "other", "other", strides=(),
          bins=None, roles=()),
    Graph("embedding", TIMM, "resnet10t", 0, (160, 160), "other", "other", strides=(), bins=None,
          roles=()),
)  # fmt: skip


def _prepare_torchvision() -> None:
    """Let a torchvision wheel import beside a CPU torch: two operators must be known first."""
    import torch

    library = torch.library.Library("torchvision", "DEF")
    library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    globals()["_library"] = library


def _ultralytics(graph: Graph) -> tuple[Any, list[Any]]:
    from ultralytics.nn import tasks

    kinds = {
        "-seg": tasks.SegmentationModel,
        "-pose": tasks.PoseModel,
        "-obb": tasks.OBBModel,
        "-cls": tasks.ClassificationModel,
    }
    ending = next((e for e in kinds if graph.config.endswith(e)), "")
    kind = kinds.get(ending, tasks.DetectionModel)
    model = kind(f"{graph.config}.yaml", nc=graph.classes, verbose=False).eval()
    if not graph.whole:
        model = model.fuse(verbose=False)
    for module in model.modules():
        if hasattr(module, "export"):
            module.export = True
        if hasattr(module, "format"):
            module.format = "onnx"
    head = model.model[-1]
    if ending == "-cls":
        return model, [head.linear.weight]
    prefix = "one2one_" if graph.whole and hasattr(head, "one2one_cv2") else ""
    box, category = getattr(head, prefix + "cv2"), getattr(head, prefix + "cv3")
    extra = getattr(head, prefix + "cv4", None) if len(graph.roles) > 2 else None
    points = getattr(head, prefix + "cv4_kpts", None)
    found = []
    for index in range(len(box)):
        found += [box[index][-1].weight, category[index][-1].weight]
        if points is not None:
            found.append(points[index].weight)
        elif extra is not None:
            found.append(extra[index][-1].weight)
    return model, found


def _torchvision(graph: Graph) -> tuple[Any, list[Any]]:
    import torch
    import torchvision

    class Heads(torch.nn.Module):
        def __init__(self, model: Any) -> None:
            super().__init__()
            self.model = model

        def forward(self, x: Any) -> Any:
            maps = list(self.model.backbone(x).values())
            found = self.model.head(maps)
            return tuple(found[key] for key in sorted(found))

    class Map(torch.nn.Module):
        def __init__(self, model: Any) -> None:
            super().__init__()
            self.model = model

        def forward(self, x: Any) -> Any:
            return self.model(x)["out"]

    none = {"weights": None, "num_classes": graph.classes}
    if graph.task == "segmentation":
        build = getattr(torchvision.models.segmentation, graph.config)
        model = build(weights_backbone=None, **none)
        return Map(model.eval()), []
    if graph.task == "classification":
        model = getattr(torchvision.models, graph.config)(**none).eval()
        layers = [m for m in model.modules() if isinstance(m, (torch.nn.Linear, torch.nn.Conv2d))]
        return model, [layers[-1].weight] if isinstance(layers[-1], torch.nn.Linear) else []
    build = getattr(torchvision.models.detection, graph.config)
    model = build(weights_backbone=None, **none).eval()
    boxes, classes = model.head.regression_head, model.head.classification_head
    if graph.family == "retinanet":
        pairs = [(boxes.bbox_reg, classes.cls_logits)] * len(graph.strides)
    else:
        pairs = list(zip(boxes.module_list, classes.module_list, strict=True))
    last = [m[-1] if isinstance(m, torch.nn.Sequential) else m for pair in pairs for m in pair]
    return Heads(model), [layer.weight for layer in last]


def _timm(graph: Graph) -> tuple[Any, list[Any]]:
    import timm
    import torch

    name, _, kind = graph.config.partition(":")
    if kind == "features":
        return timm.create_model(name, features_only=True).eval(), []
    model = timm.create_model(name, num_classes=graph.classes).eval()
    linear = [m for m in model.modules() if isinstance(m, torch.nn.Linear)]
    return model, [linear[-1].weight] if graph.classes else []


def export(graph: Graph, folder: Path) -> None:
    """Write one graph and the weights of its true ends."""
    import numpy as np
    import onnx
    import torch

    torch.manual_seed(0)
    build = {ULTRALYTICS: _ultralytics, TORCHVISION: _torchvision, TIMM: _timm}[graph.source]
    model, ends = build(graph)
    picture = torch.zeros(1, 3, *graph.size)
    path = folder / f"{graph.name}.onnx"
    new = graph.exporter == "dynamo"
    with torch.no_grad():
        model(picture)
        torch.onnx.export(
            model, (picture,), str(path), opset_version=graph.opset, dynamo=new,
            **({"external_data": False} if new else {}),
        )  # fmt: skip
    if graph.simplify:
        import onnxslim

        onnx.save(onnxslim.slim(onnx.load(str(path))), str(path))
    arrays = {str(i): weight.detach().numpy() for i, weight in enumerate(ends)}
    np.savez(folder / f"{graph.name}.npz", **arrays)


def main(folder: Path, part: int, parts: int) -> None:
    """Export every ``parts``-th graph."""
    import torch

    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    _prepare_torchvision()
    failed = {}
    for graph in GRAPHS[part::parts]:
        try:
            export(graph, folder)
        except Exception as error:
            failed[graph.name] = repr(error)[:500]
    (folder / f"failed{part}.json").write_text(json.dumps(failed), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
