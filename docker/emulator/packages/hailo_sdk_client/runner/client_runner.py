"""Emulated: ``ClientRunner``, with the documented members, states and order of calls."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from hailo_emulator import log
from hailo_emulator.arguments import (
    check_arch,
    check_calibration_size,
    check_name,
    input_shapes,
    node_names,
    script_text,
    tell_gpu,
    tell_mapping,
)
from hailo_emulator.line import (
    current_line,
    gpu_available,
)
from hailo_emulator.quirks import quirk

from hailo_sdk_client.exposed_definitions import (
    CalibrationDataType,
    ContextInfo,
    InferenceContext,
    States,
)
from hailo_sdk_client.runner.exceptions import InvalidArgumentsException, InvalidStateException

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping, Sequence

    from hailo_emulator.network import Network
    from hailo_emulator.optimizer import Quantized
    from hailo_emulator.workspace import Workspace

#: Members that change or join networks, or run them in TensorFlow; programs test for none.
_ABSENT = frozenset(
    {"set_hn", "load_params", "join", "get_keras_model", "get_tf_graph",
     "hef_infer_context"}
)  # fmt: skip
_PARSED = (States.HAILO_MODEL, States.FP_OPTIMIZED_MODEL)
_LATER = (*_PARSED, States.QUANTIZED_MODEL, States.COMPILED_MODEL)


class ClientRunner:
    """One network on its way from ONNX to HEF.

    ``hw_arch`` must be of the line that this compiler version serves; ``har`` is the path of a
    HAR to go on with. Raises ``InvalidArgumentsException`` for a chip of the other line.
    """

    def __init__(
        self,
        hw_arch: str | None = None,
        har: str | os.PathLike[str] | None = None,
        har_path: str | os.PathLike[str] | None = None,
    ) -> None:
        har = har_path if har is None else har  # the older spelling
        line = current_line()
        self._state = States.UNINITIALIZED
        self._work: Workspace | None = None
        self._sessions: dict[InferenceContext, Any] = {}
        self._active: ContextInfo | None = None
        self._reloaded: States | None = None
        if hw_arch is not None:
            check_arch(hw_arch)
        self._arch = hw_arch or line.default_chip
        if har is not None:
            self.load_har(har)
            if hw_arch is not None:
                self._arch = hw_arch
                self._work = replace(self._loaded(), arch=hw_arch)

    # -- what is known ---------------------------------------------------------------------

    @property
    def state(self) -> States:
        """How far the network has come."""
        return self._state

    @property
    def hw_arch(self) -> str:
        """The chip that is compiled for."""
        return self._arch

    @property
    def model_name(self) -> str | None:
        """The network's name."""
        return self._work.native.name if self._work else None

    @property
    def model_script(self) -> str:
        """The text of the scripts loaded so far."""
        return self._work.script_text if self._work else ""

    @property
    def hef(self) -> bytes | None:
        """The HEF, once compiled."""
        return self._work.hef if self._work else None

    @property
    def modifications_meta_data(self) -> SimpleNamespace:
        """What the script put before the network: ``inputs`` has a list by input layer."""
        network = self._work.optimized if self._work else None
        steps = network.conversions if network else {}
        return SimpleNamespace(
            inputs={
                name: [
                    SimpleNamespace(
                        cmd_type=step.command,
                        name=step.name,
                        emulate_conversion=True,
                        conversion_type=SimpleNamespace(value=step.kind, name=step.kind),
                        output_shape=[-1, *step.size],
                    )
                    for step in chain
                ]
                for name, chain in steps.items()
            }
        )

    # Members behind the public ones that programs read nevertheless.

    @property
    def _hn(self) -> Any:
        return self.get_hn_model()

    @property
    def _original_model_meta(self) -> dict[str, Any]:
        from hailo_emulator.workspace import original_model_meta

        return original_model_meta(self._loaded())

    @property
    def _sdk_backend(self) -> SimpleNamespace:
        flavor = self._loaded().options
        return SimpleNamespace(
            mo_flavor=SimpleNamespace(
                optimization_level=flavor.optimization_level,
                compression_level=flavor.compression_level,
            )
        )

    def model_summary(self) -> str:
        """Return the layers as a table, one a line."""
        return "\n".join(f"{layer.name}\t{layer.op}\t{layer.output_shape}" for layer in self._hn)

    def profile(
        self, should_use_logical_layers: bool = True, hef_filename: Any = None, **_options: Any
    ) -> dict[str, Any]:
        """Return what a report is made of; there is no chip to profile."""
        del should_use_logical_layers, hef_filename
        stats = {"model": self.model_name, "hw_arch": self._arch, "emulated": True}
        return {"stats": stats, "latency_data": None, "hn": self.get_hn_dict()}

    def __getattr__(self, name: str) -> Any:
        """Say of the vendor's further members that they are not here, and nothing else."""
        if name in _ABSENT:
            msg = f"ClientRunner.{name} is not emulated"
            raise NotImplementedError(msg)
        raise AttributeError(name)

    # -- translation -----------------------------------------------------------------------

    def translate_onnx_model(
        self,
        model: str | os.PathLike[str] | bytes | None = None,
        net_name: str = "model",
        start_node_names: Sequence[str] | None = None,
        end_node_names: Sequence[str] | None = None,
        net_input_shapes: Mapping[str, Sequence[int]] | Sequence[int] | None = None,
        augmented_path: str | None = None,
        disable_shape_inference: bool = False,
        disable_rt_metadata_extraction: bool = False,
        net_input_format: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Translate an ONNX model; returns (hn, params)."""
        from hailo_emulator.importer import read_model
        from hailo_emulator.translate import translate
        from hailo_emulator.workspace import Source, Workspace

        kwargs.pop("disable_onnx_simplifier", None)
        if kwargs:
            msg = (
                "ClientRunner.translate_onnx_model() got an unexpected keyword argument "
                f"'{next(iter(kwargs))}'"
            )
            raise TypeError(msg)
        for name, given in (
            ("augmented_path", augmented_path),
            ("net_input_format", net_input_format),
        ):
            if given is not None:
                msg = f"{name} is not emulated"
                raise NotImplementedError(msg)
        if model is None:
            msg = "A model is needed"
            raise InvalidArgumentsException(msg)
        check_name(net_name)
        starts = node_names(start_node_names, "start_node_names")
        ends = node_names(end_node_names, "end_node_names")
        if not isinstance(model, bytes):
            model = Path(model)
        started = time.monotonic()
        log.info(f"Translation started on ONNX model {net_name}")
        proto = read_model(model)
        log.info(
            f"Restored ONNX model {net_name} (completion time: "
            f"{log.clock(time.monotonic() - started)})"
        )
        shapes = input_shapes(net_input_shapes, proto)
        network = translate(
            proto, net_name, start_nodes=starts, end_nodes=ends, input_shapes=shapes
        )
        log.info(
            f"Extracted ONNXRuntime meta-data for Hailo model (completion time: "
            f"{log.clock(time.monotonic() - started)})"
        )
        tell_mapping(network)
        log.info(
            f"Translation completed on ONNX model {net_name} (completion time: "
            f"{log.clock(time.monotonic() - started)})"
        )
        source = Source(proto.SerializeToString(deterministic=True), net_name, starts, ends, shapes)
        self._set(Workspace(self._arch, source, network), States.HAILO_MODEL)
        return self.get_hn_dict(), self.get_params()

    def translate_tf_model(
        self,
        model_path: str | os.PathLike[str] | None = None,
        net_name: str = "model",
        start_node_names: Sequence[str] | None = None,
        end_node_names: Sequence[str] | None = None,
        tensor_shapes: Mapping[str, Sequence[int]] | Sequence[int] | None = None,
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Translate a TFLite file; returns (hn, params).

        Names are those of the file's tensors, shapes are NHWC. It needs TensorFlow and tf2onnx,
        and raises ``ModuleNotFoundError`` with the line that installs them.
        """
        from hailo_emulator.importer_tflite import read_tflite
        from hailo_emulator.translate import translate
        from hailo_emulator.workspace import Source, Workspace

        if model_path is None:
            msg = "A model is needed"
            raise InvalidArgumentsException(msg)
        check_name(net_name)
        starts = node_names(start_node_names, "start_node_names")
        ends = node_names(end_node_names, "end_node_names")
        started = time.monotonic()
        log.info(f"Translation started on Tensorflow Lite model {net_name}")
        proto = read_tflite(Path(model_path), starts, ends, tensor_shapes)
        network = translate(proto, net_name)
        tell_mapping(network)
        log.info(
            f"Translation completed on Tensorflow Lite model {net_name} (completion time: "
            f"{log.clock(time.monotonic() - started)})"
        )
        # What is kept is cut already: the archive can be opened without TensorFlow.
        source = Source(proto.SerializeToString(deterministic=True), net_name, None, None, None)
        self._set(Workspace(self._arch, source, network), States.HAILO_MODEL)
        return self.get_hn_dict(), self.get_params()

    # -- description -----------------------------------------------------------------------

    def get_hn_dict(self) -> dict[str, Any]:
        """Return the network description as a dict."""
        from hailo_emulator.hn import make_hn

        self._require("get_hn_dict", *_LATER)
        return make_hn(self._network(), bits=self._loaded().bits)

    def get_hn(self) -> dict[str, Any]:
        """Return the network description."""
        return self.get_hn_dict()

    def get_hn_str(self) -> str:
        """Return the network description as JSON text."""
        import json

        return json.dumps(self.get_hn_dict())

    def get_params(self) -> dict[str, Any]:
        """Return the weights by layer, in the vendor's layout."""
        from hailo_emulator.hn import make_params

        self._require("get_params", *_LATER)
        return make_params(self._network())

    def save_params(self, path: str | os.PathLike[str], params_kind: object = "native") -> None:
        """Write the weights by layer as an ``.npz`` file."""
        from hailo_emulator.workspace import pack_arrays

        del params_kind
        Path(path).write_bytes(pack_arrays(self.get_params()))

    def get_hn_model(self) -> Any:
        """Return the network as an object that can be asked for its layers."""
        from hailo_sdk_common.hailo_nn.hailo_nn import HailoNN

        self._require("get_hn_model", *_LATER)
        return HailoNN(self.get_hn_dict())

    def get_native_hn_model(self) -> Any:
        """As :meth:`get_hn_model`, before the model script."""
        from hailo_emulator.hn import make_hn
        from hailo_sdk_common.hailo_nn.hailo_nn import HailoNN

        self._require("get_native_hn_model", *_LATER)
        return HailoNN(make_hn(self._loaded().native))

    # -- script and optimisation -----------------------------------------------------------

    def load_model_script(
        self, model_script: str | os.PathLike[str] | None = None, append: bool = False
    ) -> None:
        """Read a model script: a text of several lines, or the path of a file."""
        from hailo_emulator.options import ScriptOptions
        from hailo_emulator.script import apply_script
        from hailo_emulator.workspace import ScriptPart

        self._require("load_model_script", *_LATER)
        work = self._loaded()
        text, folder, origin = script_text(model_script)
        log.info(f"Loading model script commands to {work.native.name} from {origin}")
        options = apply_script(
            work.options if append else ScriptOptions(), text, folder=Path(folder), filename=None
        )
        for command in options.without_effect:
            log.info(f"No effect in the emulator: {command.splitlines()[0]}")
        part = ScriptPart(text, folder)
        scripts = (*work.scripts, part) if append else (part,)
        if self._state in _PARSED:
            self._set(
                replace(work, scripts=scripts, options=options, optimized=None),
                States.HAILO_MODEL,
            )
        else:
            # As with the vendor: too late for normalization and NMS, nothing is said.
            self._work = replace(work, scripts=scripts)

    def optimize_full_precision(self, calib_data: Any = None) -> None:
        """Apply the script without quantising."""
        self._require("optimize_full_precision", *_PARSED)
        work = self._apply(self._loaded())
        if calib_data is not None:
            from hailo_emulator.compose import input_shape
            from hailo_emulator.dataset import open_dataset

            assert work.optimized is not None
            network = work.optimized
            open_dataset(calib_data, {p.name: input_shape(network, p) for p in network.inputs})
        self._set(work, States.FP_OPTIMIZED_MODEL)

    def optimize(
        self,
        calib_data: Any,
        data_type: object = CalibrationDataType.auto,
        work_dir: str | os.PathLike[str] | None = None,
    ) -> None:
        """Quantise on calibration data: (N, H, W, C), or a dict of them by input layer."""
        from hailo_emulator.compose import input_shape
        from hailo_emulator.dataset import open_dataset
        from hailo_emulator.levels import decide_levels
        from hailo_emulator.optimizer import quantize_network

        self._require("optimize", *_PARSED)
        if data_type not in {*CalibrationDataType, *(kind.value for kind in CalibrationDataType)}:
            msg = f"data_type is {data_type!r}; a CalibrationDataType is needed"
            raise InvalidArgumentsException(msg)
        if calib_data is None:
            msg = "optimize needs calibration data"
            raise InvalidArgumentsException(msg)
        work = self._apply(self._loaded())
        network = work.optimized
        assert network is not None
        shapes = {port.name: input_shape(network, port) for port in network.inputs}
        dataset = open_dataset(calib_data, shapes)
        check_calibration_size(work.options.calibration_size, dataset.count)
        log.info("Starting Model Optimization")
        tell_gpu()
        levels = decide_levels(work.options, dataset.count, gpu=gpu_available())
        for level, text in levels.lines:
            getattr(log, level)(text)
        quantized = quantize_network(network, work.options, dataset, levels)
        log.info("Model Optimization is done")
        self._set(replace(work, quantized=quantized), States.QUANTIZED_MODEL)

    def compile(self) -> bytes:
        """Return the bytes of the (emulated) HEF; writing the file is the caller's."""
        from hailo_emulator.compiler import compile_hef

        if self._state in _PARSED:
            from hailo_sdk_client.sdk_backend.sdk_backend_exceptions import (
                BackendRuntimeException,
            )

            msg = (
                "Model requires quantized weights in order to run on HW, but none were given. "
                "Did you forget to quantize?"
            )
            raise BackendRuntimeException(msg)
        self._require("compile", States.QUANTIZED_MODEL, States.COMPILED_MODEL)
        if quirk("no-home"):
            (Path.home() / ".hailo").mkdir(parents=True, exist_ok=True)
        work = self._loaded()
        hef = compile_hef(*self._pair(), self._arch)
        self._set(replace(work, hef=hef, arch=self._arch), States.COMPILED_MODEL)
        return hef

    # -- files -----------------------------------------------------------------------------

    def save_har(self, har_path: str | os.PathLike[str], compilation_only: bool = False) -> None:
        """Write a HAR; the same network gives the same bytes."""
        from hailo_emulator.har import write_har
        from hailo_emulator.workspace import pack_workspace

        self._require("save_har", *_LATER)
        write_har(Path(har_path), pack_workspace(self._loaded(), self._state.value))
        log.info(f"Saved HAR to: {Path(har_path).absolute()}")

    def load_har(self, har: str | os.PathLike[str]) -> None:
        """Go on with a HAR."""
        from hailo_emulator.har import read_har
        from hailo_emulator.workspace import unpack_workspace

        work, state = unpack_workspace(read_har(Path(har)))
        self._reloaded = States(state)
        check_arch(work.arch)
        self._arch = work.arch
        self._set(work, States(state))

    # -- inference -------------------------------------------------------------------------

    @contextmanager
    def infer_context(
        self,
        inference_context: object,
        device_ids: Sequence[str] | None = None,
        nms_score_threshold: float | None = None,
        gpu_policy: Any = None,
        custom_infer_config: Any = None,
    ) -> Iterator[ContextInfo]:
        """Open a context for :meth:`infer`; it is closed when the block ends."""
        if not isinstance(inference_context, InferenceContext):
            msg = f"{inference_context!r} is not an InferenceContext"
            raise InvalidArgumentsException(msg)
        self._check_context(inference_context)
        if self._active is not None:
            msg = "Another inference context is open"
            raise InvalidStateException(msg)
        info = ContextInfo(inference_context, self, nms_score_threshold)
        self._active = info
        try:
            yield info
        finally:
            self._active = None

    def infer(
        self,
        context: ContextInfo,
        dataset: Any,
        data_type: CalibrationDataType = CalibrationDataType.auto,
        data_count: int | None = None,
        batch_size: int = 1,
    ) -> Any:
        """Run NHWC samples; returns one array with an entry per sample, or a list of arrays.

        Several outputs come as a list in the order of the output layers. NMS outputs have the
        shape (N, classes, 5, boxes): y_min, x_min, y_max, x_max, score, padded with zeros.
        """
        from hailo_emulator.inference import infer

        if not isinstance(context, ContextInfo) or context is not self._active:
            msg = "infer needs the open context that infer_context gave"
            raise InvalidStateException(msg)
        if batch_size < 1:
            msg = f"batch_size is {batch_size}; 1 or more is needed"
            raise InvalidArgumentsException(msg)
        work = self._loaded()
        network, model = self._graph(context.infer_context)
        session = self._sessions.get(context.infer_context)
        if session is None:
            from hailo_emulator.execute import Session

            session = self._sessions[context.infer_context] = Session(model())
        del work
        return infer(
            network, session, dataset, count=data_count, threshold=context.nms_score_threshold
        )

    def analyze_noise(
        self,
        dataset: Any,
        data_count: int = 8,
        batch_size: int = 1,
        analyze_mode: str = "simple",
    ) -> dict[str, float]:
        """Return the SNR in decibels of every layer's output, quantised against float."""
        from hailo_emulator.noise import layer_noise

        self._require("analyze_noise", States.QUANTIZED_MODEL, States.COMPILED_MODEL)
        if analyze_mode not in ("simple", "advanced"):
            msg = f"analyze_mode is {analyze_mode!r}; simple or advanced"
            raise InvalidArgumentsException(msg)
        alone = analyze_mode == "advanced"
        return layer_noise(*self._pair(), dataset, data_count, alone=alone)

    def emulated_layers(self, dataset: Any, data_count: int = 8) -> dict[str, dict[str, Any]]:
        """Return what each layer holds (the emulator's own; the vendor has no such member)."""
        from hailo_emulator.facts import layer_facts

        self._require("emulated_layers", States.QUANTIZED_MODEL, States.COMPILED_MODEL)
        return layer_facts(*self._pair(), dataset, data_count)

    # -- inside ----------------------------------------------------------------------------

    def _set(self, work: Workspace, state: States) -> None:
        self._work, self._state = work, state
        self._sessions.clear()

    def _loaded(self) -> Workspace:
        assert self._work is not None
        return self._work

    def _pair(self) -> tuple[Network, Quantized]:
        work = self._loaded()
        assert work.optimized is not None
        assert work.quantized is not None
        return work.optimized, work.quantized

    def _network(self) -> Network:
        work = self._loaded()
        return work.optimized or work.native

    def _require(self, call: str, *states: States) -> None:
        if self._state not in states:
            allowed = ", ".join(state.value for state in states)
            msg = (
                f"The execution of {call} is not available under the state: {self._state.value}; "
                f"it needs one of: {allowed}"
            )
            raise InvalidStateException(msg)

    def _apply(self, work: Workspace) -> Workspace:
        from hailo_emulator.modify import apply_options

        if work.optimized is not None:
            return work
        return replace(work, optimized=apply_options(work.native, work.options))

    def _check_context(self, context: InferenceContext) -> None:
        needed = {
            InferenceContext.SDK_NATIVE: _LATER,
            InferenceContext.SDK_FP_OPTIMIZED: _LATER[1:],
            InferenceContext.SDK_QUANTIZED: _LATER[2:],
        }.get(context)
        if needed is None:
            msg = f"{context.name} is not emulated: there is no chip and no bit-exact model here"
            raise NotImplementedError(msg)
        self._require(f"infer_context({context.name})", *needed)
        float_one = context is not InferenceContext.SDK_QUANTIZED
        compiled = self._reloaded is States.COMPILED_MODEL
        if float_one and compiled and quirk("compiled-not-inferred"):
            msg = f"{context.name} is not available for a model that was loaded compiled"
            raise InvalidStateException(msg)

    def _graph(self, context: InferenceContext) -> tuple[Network, Any]:
        from hailo_emulator.compose import compose
        from hailo_emulator.graph import to_model

        work = self._loaded()
        network = work.native if context is InferenceContext.SDK_NATIVE else work.optimized
        assert network is not None
        quantized = work.quantized
        if context is InferenceContext.SDK_QUANTIZED:
            assert quantized is not None
            model = quantized.model
            return network, lambda: model
        return network, lambda: to_model(compose(network)).SerializeToString()
