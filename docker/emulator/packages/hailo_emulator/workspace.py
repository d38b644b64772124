"""Everything a runner holds between calls, and how it goes into a HAR and comes out again."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hailo_emulator.hn import plain
from hailo_emulator.line import toolchain_version
from hailo_emulator.options import ScriptOptions
from hailo_emulator.quant import Quantization
from hailo_emulator.quirks import quirk

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hailo_emulator.network import Network
    from hailo_emulator.optimizer import Quantized

SCHEMA = 1


@dataclass(frozen=True)
class Source:
    """How a network was translated: enough to do it again from the ONNX model kept."""

    model: bytes = field(repr=False)
    name: str
    start_nodes: tuple[str, ...] | None
    end_nodes: tuple[str, ...] | None
    input_shapes: dict[str, tuple[int, ...]] | None


@dataclass(frozen=True)
class ScriptPart:
    """One loaded model script: its text and the folder that relative paths start from."""

    text: str
    folder: str


@dataclass(frozen=True)
class Workspace:
    """A network in one of its states; never changed in place."""

    arch: str
    source: Source
    native: Network
    scripts: tuple[ScriptPart, ...] = ()
    options: ScriptOptions = field(default_factory=ScriptOptions)
    optimized: Network | None = None
    quantized: Quantized | None = None
    hef: bytes | None = field(default=None, repr=False)

    @property
    def script_text(self) -> str:
        """All scripts as one text."""
        return "".join(part.text.rstrip("\n") + "\n" for part in self.scripts)

    @property
    def bits(self) -> tuple[Mapping[str, int], Mapping[str, int]] | None:
        """Bits of activations and of weights by layer, once the network is quantised."""
        if self.quantized is None:
            return None
        return self.quantized.activation_bits, self.quantized.weight_bits


def pack_arrays(arrays: Mapping[str, Any]) -> bytes:
    """Return arrays as ``numpy.savez`` does, but the same bytes from every Python."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as members:
        for name, array in arrays.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, np.asanyarray(array), allow_pickle=False)
            members.writestr(zipfile.ZipInfo(f"{name}.npy"), content.getvalue())
    return archive.getvalue()


def pack_workspace(work: Workspace, state: str) -> dict[str, bytes]:
    """Return the members of a HAR, in a fixed order."""
    from hailo_emulator.hn import make_hn, make_params

    name = work.native.name
    current = work.optimized or work.native
    members = {
        f"{name}.hn": _json(make_hn(current, bits=work.bits)),
        f"{name}.npz": pack_arrays(make_params(current)),
        f"{name}.metadata.json": _json(_metadata(work, state)),
        f"{name}.nms.json": _json(current.nms.as_json() if current.nms else {}),
        f"{name}.original_model_meta.json": _json(original_model_meta(work)),
        f"{name}.postprocess.onnx": b"",
        f"{name}.alls": work.script_text.encode(),
        f"{name}.native.onnx": work.source.model,
        f"{name}.emulator.json": _json(_emulator(work)),
    }
    members[f"{name}.native.hn"] = _json(make_hn(work.native))
    members[f"{name}.modifications_meta_data.json"] = _json(_modifications(current))
    if work.optimized is not None:
        members[f"{name}.fp.hn"] = _json(make_hn(current))
    if work.quantized is not None:
        members[f"{name}.quantized.onnx"] = work.quantized.model
        members[f"{name}.prepared.onnx"] = work.quantized.prepared
    if work.hef is not None:
        members[f"{name}.auto.alls"] = work.script_text.encode()
        members[f"{name}.hef"] = work.hef
    return dict(reversed(members.items())) if quirk("other-order") else members


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1, sort_keys=False, default=plain) + "\n").encode()


def _modifications(network: Network) -> dict[str, object]:
    return {
        "inputs": {
            name: [{"cmd_type": step.command, "name": step.name} for step in chain]
            for name, chain in network.conversions.items()
        }
    }


def _metadata(work: Workspace, state: str) -> dict[str, object]:
    return {
        "emulated": True,
        "model_name": work.native.name,
        "state": state,
        "hw_arch": work.arch,
        "sdk_version": toolchain_version(),
        "toolchain": "hefsmith emulator",
    }


def original_model_meta(work: Workspace) -> dict[str, object]:
    """What the network was before it was parsed."""
    return {
        "inputs": {p.original_name: list(p.onnx_shape) for p in work.native.inputs},
        "outputs": {p.original_name: list(p.onnx_shape) for p in work.native.outputs},
        "framework": "onnx",
    }


def _emulator(work: Workspace) -> dict[str, object]:
    document: dict[str, object] = {
        "schema": SCHEMA,
        "name": work.source.name,
        "arch": work.arch,
        "start_nodes": work.source.start_nodes,
        "end_nodes": work.source.end_nodes,
        "input_shapes": work.source.input_shapes,
        # Where the script lay says nothing about the network, and differs by machine.
        "scripts": [{"text": part.text, "folder": ""} for part in work.scripts],
        "optimized": work.optimized is not None,
        "nms": work.optimized.nms.as_json() if work.optimized and work.optimized.nms else None,
    }
    if work.quantized is not None:
        document["quantized"] = {
            "streams": {k: asdict(q) for k, q in work.quantized.streams.items()},
            "weight_bits": work.quantized.weight_bits,
            "activation_bits": work.quantized.activation_bits,
            "snr": work.quantized.snr,
            "entries": work.quantized.entries,
            "level": work.quantized.level,
            "compression": work.quantized.compression,
        }
    return document


def unpack_workspace(members: Mapping[str, bytes]) -> tuple[Workspace, str]:
    """Rebuild a workspace from a HAR's members; returns it and its state.

    Raises ``ValueError`` for a HAR that the vendor's compiler made: its parameters are in a form
    that only that compiler can use.
    """
    from hailo_emulator.modify import apply_options
    from hailo_emulator.nms.config import NmsConfig
    from hailo_emulator.optimizer import Quantized
    from hailo_emulator.script import apply_script
    from hailo_emulator.translate import translate

    marker = next((name for name in members if name.endswith(".emulator.json")), None)
    if marker is None:
        msg = "this HAR was not made by the emulator; the emulator cannot go on with it"
        raise ValueError(msg)
    stem = marker[: -len(".emulator.json")]
    document = json.loads(members[marker])
    if document.get("schema") != SCHEMA:
        msg = f"this HAR has schema {document.get('schema')!r}, this emulator reads {SCHEMA}"
        raise ValueError(msg)
    shapes = document["input_shapes"]
    source = Source(
        members[f"{stem}.native.onnx"],
        document["name"],
        None if document["start_nodes"] is None else tuple(document["start_nodes"]),
        None if document["end_nodes"] is None else tuple(document["end_nodes"]),
        None if shapes is None else {k: tuple(v) for k, v in shapes.items()},
    )
    native = translate(
        source.model,
        source.name,
        start_nodes=source.start_nodes,
        end_nodes=source.end_nodes,
        input_shapes=source.input_shapes,
    )
    parts = tuple(ScriptPart(**part) for part in document["scripts"])
    options = ScriptOptions()
    for part in parts:
        options = apply_script(options, part.text, folder=Path(part.folder))
    work = Workspace(document["arch"], source, native, parts, options)
    if document["optimized"]:
        optimized = apply_options(native, replace(options, nms=None))
        nms = NmsConfig.from_json(document["nms"]) if document["nms"] else None
        work = replace(work, optimized=replace(optimized, nms=nms))
    if "quantized" in document:
        entry = document["quantized"]
        quantized = Quantized(
            model=members[f"{stem}.quantized.onnx"],
            prepared=members[f"{stem}.prepared.onnx"],
            streams={k: Quantization(**q) for k, q in entry["streams"].items()},
            weight_bits=entry["weight_bits"],
            activation_bits=entry["activation_bits"],
            snr=entry["snr"],
            entries=entry["entries"],
            level=entry["level"],
            compression=entry["compression"],
        )
        work = replace(work, quantized=quantized)
    state = json.loads(members[f"{stem}.metadata.json"])["state"]
    return replace(work, hef=members.get(f"{stem}.hef")), state
