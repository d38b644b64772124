"""What an emulated HEF carries for the emulated chip. The format is in PAYLOAD.md."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hailo_emulator.nms.config import NmsConfig
from hailo_emulator.quant import Quantization

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SCHEMA = 1
JSON_RESOURCE = "hefsmith.payload.json"
ONNX_RESOURCE = "hefsmith.network.onnx"


@dataclass(frozen=True)
class Stream:
    """An input or output of the chip. ``shape`` is (H, W, C), or (C,) where order is ``NC``."""

    name: str
    tensor: str
    shape: tuple[int, ...]
    order: str
    quantization: Quantization
    original_names: tuple[str, ...] = ()

    def as_json(self) -> dict[str, object]:
        """Return the entry for the payload's JSON."""
        return {
            "name": self.name,
            "tensor": self.tensor,
            "shape": list(self.shape),
            "order": self.order,
            "bits": self.quantization.bits,
            "scale": self.quantization.scale,
            "zero_point": self.quantization.zero_point,
            "original_names": list(self.original_names),
        }

    @staticmethod
    def from_json(entry: Mapping[str, Any]) -> Stream:
        """Read one entry of ``inputs`` or ``tensors``."""
        return Stream(
            name=str(entry["name"]),
            tensor=str(entry["tensor"]),
            shape=tuple(int(n) for n in entry["shape"]),
            order=str(entry["order"]),
            quantization=Quantization(
                float(entry["scale"]), int(entry["zero_point"]), int(entry["bits"])
            ),
            original_names=tuple(str(n) for n in entry["original_names"]),
        )


@dataclass(frozen=True)
class Output:
    """What a program meets: ``kind`` is ``tensor`` (a stream of that name) or ``nms``."""

    name: str
    kind: str


@dataclass(frozen=True)
class Estimate:
    """The cost model's prediction for one frame at batch 1. Never a measurement."""

    fps: float
    latency_ms: float
    macs: int
    contexts: int


@dataclass(frozen=True)
class Payload:
    """A compiled network: the quantised graph and how to feed and read it."""

    network: str
    arch: str
    compiler: str
    inputs: tuple[Stream, ...]
    tensors: tuple[Stream, ...]
    outputs: tuple[Output, ...]
    nms: NmsConfig | None
    estimate: Estimate
    graph: bytes = field(repr=False)


def pack(payload: Payload) -> dict[str, bytes]:
    """Return the HEF's resources; the same payload gives the same bytes."""
    document = {
        "schema": SCHEMA,
        "network": payload.network,
        "arch": payload.arch,
        "compiler": payload.compiler,
        "inputs": [stream.as_json() for stream in payload.inputs],
        "tensors": [stream.as_json() for stream in payload.tensors],
        "outputs": [{"name": out.name, "kind": out.kind} for out in payload.outputs],
        "nms": payload.nms.as_json() if payload.nms else None,
        "estimate": {
            "fps": payload.estimate.fps,
            "latency_ms": payload.estimate.latency_ms,
            "macs": payload.estimate.macs,
            "contexts": payload.estimate.contexts,
        },
    }
    text = json.dumps(document, sort_keys=True, indent=1)
    return {JSON_RESOURCE: text.encode(), ONNX_RESOURCE: payload.graph}


def unpack(resources: Mapping[str, bytes]) -> Payload:
    """Read what :func:`pack` wrote. Raises ``ValueError`` for another schema."""
    document = json.loads(resources[JSON_RESOURCE])
    if document.get("schema") != SCHEMA:
        msg = f"this payload has schema {document.get('schema')!r}, this emulator reads {SCHEMA}"
        raise ValueError(msg)
    estimate = document["estimate"]
    return Payload(
        network=document["network"],
        arch=document["arch"],
        compiler=document["compiler"],
        inputs=tuple(Stream.from_json(entry) for entry in document["inputs"]),
        tensors=tuple(Stream.from_json(entry) for entry in document["tensors"]),
        outputs=tuple(Output(entry["name"], entry["kind"]) for entry in document["outputs"]),
        nms=NmsConfig.from_json(document["nms"]) if document["nms"] else None,
        estimate=Estimate(
            float(estimate["fps"]),
            float(estimate["latency_ms"]),
            int(estimate["macs"]),
            int(estimate["contexts"]),
        ),
        graph=bytes(resources[ONNX_RESOURCE]),
    )


def read_payload(hef: Path | bytes) -> Payload:
    """Take the payload out of an emulated HEF.

    Raises the errors of ``orchestrator.hef.read_resource``: a HEF that the vendor's compiler
    made has no such resource.
    """
    from orchestrator.hef import read_resource

    return unpack({name: read_resource(hef, name) for name in (JSON_RESOURCE, ONNX_RESOURCE)})
