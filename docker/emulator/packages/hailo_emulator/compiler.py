"""From a quantised network to the bytes of an emulated HEF."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from hefsmith_worker.contract.families import META_ARCHS

from hailo_emulator import log
from hailo_emulator.cost import as_estimate, estimate_cost
from hailo_emulator.line import find_figures, toolchain_version
from hailo_emulator.optimizer import output_tensor
from hailo_emulator.payload import Output, Payload, Stream, pack

if TYPE_CHECKING:
    from hailo_emulator.network import Network, Port
    from hailo_emulator.nms.config import NmsConfig
    from hailo_emulator.optimizer import Quantized
    from orchestrator.hef import NmsSpec, StreamSpec


def make_payload(network: Network, quantized: Quantized, arch: str) -> Payload:
    """Describe the compiled network for the device side."""
    from hailo_emulator.compose import input_shape

    cost = estimate_cost(network, quantized, find_figures(arch))
    inputs = tuple(
        Stream(
            port.stream,
            port.name,
            input_shape(network, port),
            port.order,
            quantized.streams[port.stream],
            (port.original_name,),
        )
        for port in network.inputs
    )
    tensors = tuple(
        Stream(
            port.stream,
            output_tensor(port.stream),
            port.shape,
            port.order,
            quantized.streams[port.stream],
            (port.original_name,),
        )
        for port in network.outputs
    )
    used = set(network.nms.streams) if network.nms else set()
    outputs = [Output(t.name, "tensor") for t in tensors if t.name not in used]
    if network.nms is not None:
        outputs.insert(0, Output(network.nms.output, "nms"))
    return Payload(
        network=network.name,
        arch=arch,
        compiler=toolchain_version(),
        inputs=inputs,
        tensors=tensors,
        outputs=tuple(outputs),
        nms=network.nms,
        estimate=as_estimate(cost),
        graph=quantized.model,
    )


def compile_hef(network: Network, quantized: Quantized, arch: str) -> bytes:
    """Return the HEF. The same network gives the same bytes: nothing in it tells the time."""
    from orchestrator.hef import NetworkSpec, write_emulated_hef

    payload = make_payload(network, quantized, arch)
    _tell(network, payload)
    spec = NetworkSpec(
        name=network.name,
        inputs=tuple(
            _stream_spec(stream, port)
            for stream, port in zip(payload.inputs, network.inputs, strict=True)
        ),
        outputs=tuple(
            _stream_spec(stream, port)
            for stream, port in zip(payload.tensors, network.outputs, strict=True)
        ),
        nms=_nms_spec(network.nms) if network.nms else None,
        contexts=payload.estimate.contexts,
        predicted_fps=payload.estimate.fps,
        operations=2 * payload.estimate.macs,
    )
    hef = write_emulated_hef(
        spec, arch=arch, resources=pack(payload), emulated_compiler=payload.compiler
    )
    log.info(f"HEF digest: {hashlib.sha256(hef).hexdigest()[:16]} (emulated)")
    return hef


def _tell(network: Network, payload: Payload) -> None:
    log.info(
        'To achieve optimal performance, set the compiler_optimization_level to "max" by adding '
        "performance_param(compiler_optimization_level=max) to the model script. Note that this "
        "may increase compilation time."
    )
    log.info("Loading network parameters")
    log.info("Starting Hailo allocation and compilation flow")
    log.info("Trying to compile the network in a single context")
    contexts = payload.estimate.contexts
    if contexts > 1:
        log.info("Single context flow failed: Recoverable single context error")
        log.info("Using Multi-context flow")
        log.info(f"Found valid partition to {contexts} contexts")
    else:
        log.info("Using Single-context flow")
    log.info("Successful Mapping (allocation time: 0s) (emulated: nothing is placed)")
    for number in range(contexts):
        log.info(f"Compiling kernels of {network.name}_context_{number}...")
    log.info("Building HEF...")
    log.info("Successful Compilation (compilation time: 0s)")
    log.info(
        f"Emulated HEF; predicted {payload.estimate.fps} FPS by the emulator's cost model "
        f"({payload.estimate.macs} MACs), not measured"
    )


def _stream_spec(stream: Stream, port: Port) -> StreamSpec:
    from orchestrator.hef import StreamSpec

    height, width, features = (1, 1, stream.shape[0]) if stream.order == "NC" else stream.shape
    return StreamSpec(
        name=stream.name,
        shape=(height, width, features),
        scale=stream.quantization.scale,
        zero_point=float(stream.quantization.zero_point),
        bits=stream.quantization.bits,
        order=stream.order,
        original_names=(port.original_name,),
    )


def _nms_spec(config: NmsConfig) -> NmsSpec:
    from orchestrator.hef import DecoderSpec, NmsSpec

    family = META_ARCHS[config.meta_arch].in_hef or config.meta_arch
    extra = {
        key: float(getattr(config, key)) for key in META_ARCHS[family].extra if hasattr(config, key)
    }
    return NmsSpec(
        family=family,
        output=config.output,
        score_threshold=config.score_threshold,
        iou_threshold=config.iou_threshold,
        max_boxes_per_class=config.max_proposals_per_class,
        classes=config.classes,
        image=(float(config.image_dims[0]), float(config.image_dims[1])),
        decoders=tuple(
            DecoderSpec(
                stride=d.stride,
                anchors=tuple(zip(d.h, d.w, strict=True)),
                reg=d.reg,
                cls=d.cls,
                obj=d.obj,
                encoded=d.encoded,
            )
            for d in config.decoders
        ),
        background_removal=config.background_removal,
        background_index=config.background_removal_index,
        box_decoding_only=config.bbox_decoding_only,
        extra=extra,
    )
