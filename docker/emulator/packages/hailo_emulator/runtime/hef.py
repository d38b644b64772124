"""The binding's ``HEF``: what a file says about its model, read by hefsmith's own reader."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from hailo_emulator.runtime.formats import (
    FormatOrder,
    FormatType,
    HailoFormat,
    HailoStreamDirection,
    NmsShape,
    QuantInfo,
    VStreamInfo,
)
from hailo_emulator.runtime.settings import read_setup
from hailo_emulator.runtime.status import (
    STATUS_NAMES,
    HailoRTException,
    fail,
    log,
    status_of,
)

if TYPE_CHECKING:
    from hailo_emulator.runtime.settings import Setup
    from orchestrator.hef import Hef, HefError, NetworkGroup, Quantization, Stream, Tensor

#: The reader's words for the order of elements -> the binding's.
_ORDERS = {
    "HAILO NMS BY CLASS": FormatOrder.HAILO_NMS_BY_CLASS,
    "HAILO NMS BY SCORE": FormatOrder.HAILO_NMS_BY_SCORE,
    "HAILO NMS WITH BYTE MASK": FormatOrder.HAILO_NMS_WITH_BYTE_MASK,
    "HAILO NMS ON CHIP": FormatOrder.HAILO_NMS_ON_CHIP,
    "HAILO NMS": FormatOrder.HAILO_NMS,
}
_TYPES = {
    "UINT8": FormatType.UINT8,
    "UINT16": FormatType.UINT16,
    "FLOAT32": FormatType.FLOAT32,
}


@dataclass(frozen=True)
class NetworkGroupInfo:
    """One model of a HEF, in short."""

    name: str
    is_multi_context: bool


class HEF:
    """A HEF file, or its bytes. ``str`` is a path, ``bytes`` is content, nothing else will do."""

    def __init__(self, hef_source: object) -> None:
        if isinstance(hef_source, str):
            self._path: str | None = hef_source
            self._source: Path | bytes = Path(hef_source)
        elif isinstance(hef_source, bytes):
            self._path = None
            self._source = hef_source
        else:
            msg = "HEF can only be created from a file path (str) or a buffer (bytes)"
            raise ValueError(msg)  # noqa: TRY004 - the vendor's own choice
        self._content = _read(self._source)

    @property
    def path(self) -> str | None:
        """Path of the file, ``None`` for bytes."""
        return self._path

    @property
    def source(self) -> Path | bytes:
        """What the HEF was made from."""
        return self._source

    @property
    def content(self) -> Hef:
        """All that the reader found (not part of the vendor's interface)."""
        return self._content

    def get_network_group_names(self) -> list[str]:
        """Return the names of the models."""
        return [group.name for group in self._content.network_groups]

    def get_network_groups_infos(self) -> list[NetworkGroupInfo]:
        """Return each model in short."""
        return [NetworkGroupInfo(g.name, g.multi_context) for g in self._content.network_groups]

    def get_networks_names(self, network_group_name: str | None = None) -> list[str]:
        """Return the networks of a model, by default of the first."""
        return list(self._group(network_group_name).networks)

    def get_input_vstream_infos(self, name: str | None = None) -> list[VStreamInfo]:
        """Return the inputs as a program meets them."""
        return [_vstream(tensor) for tensor in self._group(name).inputs]

    def get_output_vstream_infos(self, name: str | None = None) -> list[VStreamInfo]:
        """Return the outputs as a program meets them, post-processing included."""
        return [_vstream(tensor) for tensor in self._group(name).outputs]

    def get_all_vstream_infos(self, name: str | None = None) -> list[VStreamInfo]:
        """Return inputs, then outputs."""
        return self.get_input_vstream_infos(name) + self.get_output_vstream_infos(name)

    def get_input_stream_infos(self, name: str | None = None) -> list[VStreamInfo]:
        """Return what goes into the chip."""
        return self._streams(name, "input")

    def get_output_stream_infos(self, name: str | None = None) -> list[VStreamInfo]:
        """Return what comes out of the chip, before post-processing."""
        return self._streams(name, "output")

    def get_all_stream_infos(self, name: str | None = None) -> list[VStreamInfo]:
        """Return inputs, then outputs of the chip."""
        return self.get_input_stream_infos(name) + self.get_output_stream_infos(name)

    def get_sorted_output_names(self, network_group_name: str | None = None) -> list[str]:
        """Return the names of the outputs, in the order that the compiler chose."""
        return [tensor.name for tensor in self._group(network_group_name).outputs]

    def bottleneck_fps(self, network_group_name: str | None = None) -> float:
        """Return the rate that the compiler predicted."""
        fps = self._group(network_group_name).predicted_fps
        if not fps:
            msg = "bottleneck_fps is zero"
            raise HailoRTException(msg)
        return fps

    def get_original_names_from_vstream_name(
        self, vstream_name: str, network_group_name: str | None = None
    ) -> list[str]:
        """Return the source model's names of one stream."""
        for info in self.get_all_vstream_infos(network_group_name):
            if info.name == vstream_name:
                return list(info.original_names)
        return fail("HAILO_NOT_FOUND", f"Failed to find vstream {vstream_name}")

    def get_vstream_name_from_original_name(
        self, original_name: str, network_group_name: str | None = None
    ) -> str:
        """Return the stream that carries a node of the source model."""
        for info in self.get_all_vstream_infos(network_group_name):
            if original_name in info.original_names:
                return info.name
        return fail("HAILO_NOT_FOUND", f"Failed to find vstream of {original_name}")

    def get_vstream_names_from_stream_name(
        self, stream_name: str, network_group_name: str | None = None
    ) -> list[str]:
        """Return the streams that programs use of one of the chip's."""
        if stream_name not in [info.name for info in self.get_all_stream_infos(network_group_name)]:
            fail("HAILO_NOT_FOUND", f"Failed to find stream {stream_name}")
        infos = self.get_all_vstream_infos(network_group_name)
        same = [info.name for info in infos if info.name == stream_name]
        return same or [info.name for info in infos if info.nms is not None]

    def get_stream_names_from_vstream_name(
        self, vstream_name: str, network_group_name: str | None = None
    ) -> list[str]:
        """Return the chip's streams behind one that programs use."""
        if vstream_name not in [i.name for i in self.get_all_vstream_infos(network_group_name)]:
            fail("HAILO_NOT_FOUND", f"Failed to find vstream {vstream_name}")
        return [
            info.name
            for info in self.get_all_stream_infos(network_group_name)
            if vstream_name
            in self.get_vstream_names_from_stream_name(info.name, network_group_name)
        ]

    def _group(self, name: str | None) -> NetworkGroup:
        groups = self._content.network_groups
        wanted = (name or "").split("/")[0]
        for group in groups:
            if not wanted or group.name == wanted:
                for problem in group.problems.values():
                    _refuse(problem)
                return group
        return fail(
            "HAILO_NOT_FOUND", f"Failed to find network or network_group with the name {name}"
        )

    def _streams(self, name: str | None, direction: str) -> list[VStreamInfo]:
        streams = self._group(name).streams
        return [_stream(item) for item in streams if item.direction.value == direction]


def check_device(hef: Hef, setup: Setup) -> None:
    """Refuse a HEF that the emulated device cannot run, as the library refuses.

    Raises HailoRTHEFNotCompatibleWithDevice (93), HailoRTInvalidHEFException (26, up to 4.20
    and for strict models), or another HailoRTException.
    """
    from orchestrator.hef import check_compatibility

    if not hef.emulated:
        log("error", "this HEF was compiled for a real chip, and hefsmith's emulator is none")
        fail("HAILO_HEF_NOT_COMPATIBLE_WITH_DEVICE", "HEF is not emulated")
    answer = check_compatibility(
        hef,
        chip=setup.chip.name,
        hailort=setup.version,
        emulated_device=True,
    )
    if setup.has("wrong_chip") or any("chip" in reason.code for reason in answer.refusals):
        fail("HAILO_HEF_NOT_COMPATIBLE_WITH_DEVICE", _arch_text(hef, setup), check=False)
    for reason in answer.warnings:
        log("warning", reason.message)
    for reason in answer.refusals:
        if reason.code in ("header-version", "extension") and _stands_for_older(hef):
            continue
        name = STATUS_NAMES[reason.status] if reason.status is not None else "HAILO_INVALID_HEF"
        fail(name, reason.message, check=False)


def _stands_for_older(hef: Hef) -> bool:
    """Say whether the compiler that was played wrote older headers: 3.31 goes with 4.21."""
    played = re.search(r"emulated (\d+)\.(\d+)", hef.compiler)
    return played is not None and (int(played[1]), int(played[2])) < (3, 31)


def compiled_for(hef: Hef) -> str:
    """Return the one chip that HailoRT 4.x names for a HEF."""
    arch = (hef.hw_arch or str(hef.hw_arch_id)).rpartition("__")[2]
    names = {"HAILO1XH": "HAILO15H", "HAILO8P": "HAILO8", "GINGER": "HAILO15H"}
    return names.get(arch, arch)


def _arch_text(hef: Hef, setup: Setup) -> str:
    device = setup.chip.shows
    if setup.has("wrong_chip"):
        # The switch stands for a HEF of another chip, whichever this one is for.
        other = "HAILO8" if device != "HAILO8" else "HAILO15H"
        names, one = [other], other
    else:
        names, one = list(hef.chips), compiled_for(hef)
    text = f"HEF format is not compatible with device. Device arch: {device}, "
    if setup.hailort >= (5, 1, 1):
        return f"{text}HEF compatible for: {' '.join(names)}"
    return f"{text}HEF arch: {one}"


def _read(source: Path | bytes) -> Hef:
    from orchestrator.hef import HefError, read_hef

    try:
        return read_hef(source)
    except HefError as error:
        _refuse(error)


def _refuse(error: HefError) -> NoReturn:
    # The vendor checks only the metadata of header version 3 (status 0); the emulated chip needs
    # all of its payload, and says what a damaged file of any other version would give.
    name = STATUS_NAMES[8 if error.status is None else error.status or 91]
    code = status_of(name)
    log("error", f"CHECK failed - {error.message}")
    fail(STATUS_NAMES[code], f"Failed parsing HEF with status={name}({code})", check=False)


def _quant(quantization: Quantization) -> tuple[QuantInfo, ...]:
    low, high = quantization.limits
    if quantization.per_feature:
        return tuple(
            QuantInfo(zero, scale, low, high)
            for zero, scale in zip(quantization.zero_points, quantization.scales, strict=True)
        )
    return (QuantInfo(quantization.zero_point, quantization.scale, low, high),)


def _order(word: str) -> FormatOrder:
    if word in _ORDERS:
        return _ORDERS[word]
    return FormatOrder[word.replace(" ", "_")]


def _dims(shape: tuple[int, int, int], order: FormatOrder) -> tuple[int, ...]:
    if order is FormatOrder.NC:
        return (shape[2],)
    return shape[:2] if order is FormatOrder.NHW else shape


def _vstream(tensor: Tensor) -> VStreamInfo:
    order = _order(tensor.order)
    nms = tensor.nms_shape
    if nms is not None and read_setup().acts("nms-by-score"):
        order = FormatOrder.HAILO_NMS_BY_SCORE
    return VStreamInfo(
        name=tensor.name,
        network_name=tensor.network,
        direction=HailoStreamDirection["H2D" if tensor.direction.value == "input" else "D2H"],
        format=HailoFormat(_TYPES[tensor.type], order),
        dims=() if tensor.shape is None else _dims(tensor.shape, order),
        quant_infos=_quant(tensor.quantization),
        nms=None
        if nms is None
        else NmsShape(
            nms.number_of_classes, nms.max_bboxes_per_class, nms.max_accumulated_mask_size
        ),
        original_names=tensor.original_names,
    )


def _stream(stream: Stream) -> VStreamInfo:
    order = _order(stream.order)
    return VStreamInfo(
        name=stream.name,
        network_name=stream.network,
        direction=HailoStreamDirection["H2D" if stream.direction.value == "input" else "D2H"],
        format=HailoFormat(_TYPES[stream.type], order),
        dims=_dims(stream.hw_shape, order),
        quant_infos=_quant(stream.quantization),
        original_names=stream.original_names,
    )
