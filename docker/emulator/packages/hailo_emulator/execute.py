"""Run graphs with ONNX Runtime: one way for the compiler's contexts and for the device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from hailo_emulator.payload import Payload

#: Fixed, not "all cores", so that a container and a process plan alike. (Measured: 1, 2 and 4
#: threads give the same bytes.)
THREADS = 4

#: ONNX Runtime 1.32 computes Transpose and MatMul by a vector wrongly when it fuses them.
WRONG_OPTIMIZERS = ("MatmulTransposeFusion",)


def make_session(model: bytes) -> Any:
    """Return an ONNX Runtime session on the CPU.

    Quantise/dequantise pairs stay what they are: fused integer kernels round otherwise on each
    kind of CPU (and saturate where VNNI is missing).
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(
        model,
        options,
        providers=["CPUExecutionProvider"],
        disabled_optimizers=list(WRONG_OPTIMIZERS),
    )


class Session:
    """A float graph with NHWC borders, run one frame at a time."""

    def __init__(self, model: bytes) -> None:
        self._session = make_session(model)
        self.inputs = tuple(value.name for value in self._session.get_inputs())
        self.outputs = tuple(value.name for value in self._session.get_outputs())

    def run(self, frame: Mapping[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
        """Compute one frame: float32 arrays without batch in, the same out, in output order."""
        feeds = {
            name: np.ascontiguousarray(frame[name], np.float32)[np.newaxis] for name in self.inputs
        }
        return [np.asarray(value, np.float32)[0] for value in self._session.run(None, feeds)]

    def run_raw(self, frame: Mapping[str, NDArray[Any]]) -> Sequence[NDArray[Any]]:
        """As :meth:`run`, but outputs are given as they come (statistics have no batch)."""
        feeds = {
            name: np.ascontiguousarray(frame[name], np.float32)[np.newaxis] for name in self.inputs
        }
        values: Sequence[NDArray[Any]] = self._session.run(None, feeds)
        return values


class Executor:
    """Runs the payload of an emulated HEF: what the emulated chip and its host part do."""

    def __init__(self, payload: Payload) -> None:
        self.payload = payload
        self._session = Session(payload.graph)

    def run(
        self,
        frame: Mapping[str, NDArray[np.float32]],
        *,
        score_threshold: float | None = None,
        iou_threshold: float | None = None,
        max_proposals_per_class: int | None = None,
    ) -> dict[str, Any]:
        """Compute one frame.

        ``frame`` has a float32 array of the stream's shape (no batch) for every input name.
        Returns, per output name, a float32 array, or for NMS a list of ``classes`` arrays
        (n, 5): y_min, x_min, y_max, x_max, score in 0..1. Thresholds replace the compiled ones.
        Raises ``KeyError`` for a missing input and ``ValueError`` for a wrong shape.
        """
        feeds = {}
        for stream in self.payload.inputs:
            value = np.asarray(frame[stream.name])
            if value.shape != stream.shape:
                msg = f"input {stream.name} has shape {value.shape}, {stream.shape} is needed"
                raise ValueError(msg)
            feeds[stream.tensor] = value
        values = dict(zip(self._session.outputs, self._session.run(feeds), strict=True))
        tensors = {stream.name: values[stream.tensor] for stream in self.payload.tensors}
        result: dict[str, Any] = {}
        for output in self.payload.outputs:
            if output.kind == "nms":
                from hailo_emulator.nms.suppress import detect

                assert self.payload.nms is not None
                result[output.name] = detect(
                    self.payload.nms,
                    tensors,
                    score_threshold=score_threshold,
                    iou_threshold=iou_threshold,
                    max_proposals_per_class=max_proposals_per_class,
                )
            else:
                result[output.name] = tensors[output.name]
        return result
