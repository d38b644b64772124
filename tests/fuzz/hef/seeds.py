"""Seed corpus of the fuzz target, made by our own writer: `python seeds.py FOLDER`."""

from __future__ import annotations

import struct
import sys
from pathlib import Path

from orchestrator.hef import (
    DecoderSpec,
    NetworkSpec,
    NmsSpec,
    StreamSpec,
    write_emulated_hef,
)
from orchestrator.hef.schema import message_class
from orchestrator.hef.wire import varint


def head(name: str, height: int, features: int, **more: object) -> StreamSpec:
    return StreamSpec(f"net/{name}", (height, height, features), 0.05, 3.0, **more)  # type: ignore[arg-type]


def networks() -> dict[str, NetworkSpec]:
    """One small network for each family of post-processing, and some without."""
    image = StreamSpec("net/input_layer1", (64, 64, 3), 1 / 255, 0.0, original_names=("images",))
    reg, cls, obj = head("reg", 8, 16), head("cls", 8, 4), head("obj", 8, 1)
    vector = StreamSpec("net/fc1", (1, 1, 10), 0.1, 128.0, bits=16, order="NC")
    per_feature = StreamSpec(
        "net/conv9", (4, 4, 3), 0.5, 1.0, zero_points=(0.0, 1.0, 2.0), scales=(0.5, 0.25, 0.125)
    )
    both = DecoderSpec(8, reg=reg.name, cls=cls.name)
    anchors = ((10.0, 12.0), (20.0, 30.0))

    def nms(family: str, decoder: DecoderSpec, **more: object) -> NmsSpec:
        output = f"net/{family}_nms_postprocess"
        return NmsSpec(family, output, 0.2, 0.7, 20, 4, (64, 64), (decoder,), **more)  # type: ignore[arg-type]

    def net(*outputs: StreamSpec, **more: object) -> NetworkSpec:
        return NetworkSpec("net", (image,), outputs, predicted_fps=90.5, operations=7, **more)  # type: ignore[arg-type]

    encoded = DecoderSpec(8, anchors=anchors, encoded=reg.name)
    return {
        "plain": net(vector, per_feature, contexts=3),
        "yolov8": net(reg, cls, nms=nms("yolov8", both, extra={"regression_length": 16})),
        "yolov8_boxes": net(reg, cls, nms=nms("yolov8", both, box_decoding_only=True)),
        "yolov5": net(reg, nms=nms("yolov5", encoded)),
        "yolov5_seg": net(
            reg,
            cls,
            nms=nms("yolov5_seg", encoded, proto_layer=cls.name, extra={"mask_threshold": 0.5}),
        ),
        "yolox": net(
            reg,
            cls,
            obj,
            nms=nms("yolox", DecoderSpec(8, reg=reg.name, cls=cls.name, obj=obj.name)),
        ),
        "ssd": net(
            reg,
            cls,
            nms=nms(
                "ssd",
                DecoderSpec(anchors=anchors, reg=reg.name, cls=cls.name),
                background_removal=True,
                extra={"centers_scale_factor": 10, "bbox_dimensions_scale_factor": 5},
            ),
        ),
        "iou": net(cls, nms=nms("iou", DecoderSpec(cls=cls.name))),
    }


def protos() -> dict[str, bytes]:
    """Metadata that our writer never makes: actions, muxes, planes, memory layers, old fields."""
    found: dict[str, bytes] = {}
    for name, network in networks().items():
        file = write_emulated_hef(network, arch="hailo8", resources={})
        size = struct.unpack_from(">I", file, 8)[0]
        found[name] = file[56 : 56 + size]
    hef = message_class().FromString(found["plain"])
    core = hef.groups[0].ops[0].core_op
    outputs = core.contexts[2].metadata.layers
    mux = outputs.add(direction=1, type=1).mux
    mux.name = "net/mux"
    mux.base.CopyFrom(outputs[0].info.base)
    mux.data.count = 2
    for index in range(2):
        inner = mux.predecessors.add().info
        inner.CopyFrom(outputs[0].info)
        inner.name = f"net/part{index}"
    planes = core.contexts[0].metadata.layers.add(type=2).planes
    planes.name, planes.height, planes.width, planes.features = "net/planes", 8, 8, 3
    planes.planes.add().info.CopyFrom(outputs[0].info)
    planes.planes[0].info.name = "net/y"
    for direction in (0, 1):
        memory = core.contexts[1].metadata.layers.add(direction=direction)
        memory.info.CopyFrom(outputs[0].info)
        memory.switch.connection = 2
        memory.switch.connected.add(index=1, sys_index=outputs[0].info.base.sys_index)
    found["layers"] = hef.SerializeToString()
    legacy = message_class()()
    legacy.CopyFrom(hef)
    del legacy.extensions[:]
    legacy.extensions.add(id=26)
    group = legacy.groups[0]
    group.contexts.extend(core.contexts)
    group.metadata.transposed = True
    del group.ops[:]
    found["legacy"] = legacy.SerializeToString()
    found["actions"] = found["plain"] + with_actions()
    return found


def field(number: int, value: bytes | int) -> bytes:
    """Encode one protobuf field (numbers below 128 only)."""
    wire = 0 if isinstance(value, int) else 2
    size = b"" if isinstance(value, int) else varint(len(value))
    return varint(number << 3 | wire) + size + (varint(value) if isinstance(value, int) else value)


def with_actions() -> bytes:
    """A second network group whose only context does one of each kind of action."""
    flat = (
        (5, field(1, 2) + field(11, field(1, 3) + field(2, 4) + field(3, 1))),
        (6, field(1, 2)),
        (7, field(1, 2)),
        (8, field(1, 2) + field(3, 900)),
        (9, b""),
        (10, field(1, 1)),
        (11, field(1, 1)),
        (12, field(2, field(1, 2000))),
        (13, field(3, 80) + field(4, 10)),
        (14, field(1, 1024) + field(3, b"abcd")),
        (15, b""),
        (16, field(1, 64) + field(2, 32) + field(3, 1)),
        (17, b""),
        (18, b""),
    )
    actions = b"".join(field(2, field(1, 7) + field(number, body)) for number, body in flat)
    operation = field(1, field(2, field(1, 3))) + actions
    context = field(2, operation) + field(3, b"")
    group = field(1, field(1, b"second")) + field(2, field(1, operation)) + field(3, context)
    return field(2, group + field(8, field(4, field(1, field(1, b"second")) + field(3, context))))


def write_seeds(folder: Path) -> int:
    """Write every seed into ``folder``; returns how many there are."""
    folder.mkdir(parents=True, exist_ok=True)
    count = 0
    for name, network in networks().items():
        for arch in ("hailo8", "hailo8l", "hailo10h"):
            data = write_emulated_hef(network, arch=arch, resources={"weights": b"\x00\x01" * 9})
            (folder / f"{name}-{arch}.hef").write_bytes(data)
            count += 1
    for name, proto in protos().items():
        (folder / f"{name}.proto").write_bytes(proto)
        count += 1
    return count


if __name__ == "__main__":
    print(write_seeds(Path(sys.argv[1])))
