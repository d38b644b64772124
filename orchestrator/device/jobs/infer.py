"""Run golden samples through a HEF on this device and keep the outputs.

hefsmith sends this file to the device, runs it there and removes it again. It needs
Python 3.9, numpy and hailo_platform (HailoRT's own Python package), and nothing else.

stdin:  one JSON document, the request:
          hef             file of the HEF
          inputs          [{"name": stream or null, "file": .npy (N, H, W, C) uint8 or float32}]
          outputs         [{"stream": name or null, "kind": "tensor" or "nms", "file": name}]
          api             "auto", "infer_model" or "vstreams" (the older interface)
          output_format   "float32" (HailoRT de-quantises) or "native" (this file does)
          repeats         how often sample 0 runs again, to see whether it gives the same
          timeout_ms      time limit of one frame
stdout: one JSON object a line: hello, progress, determinism, output, done; or failed.
files:  outputs as named: tensors .npy float32 (N, ...) in the HEF's own shape; boxes .npz with
        boxes (total, 6) = y_min, x_min, y_max, x_max (0..1), score, class and offsets (N + 1).
exit:   0 when every output is written, 1 when something failed (the last line says what).
"""

from __future__ import annotations

import platform
import sys
import time
from pathlib import Path
from typing import Any

from hailo_chip import open_chip
from job_report import run_job, tell

# --- Streams -----------------------------------------------------------------------------------


class Stream:
    """One input or output of the HEF: name, shape of a frame, quantisation."""

    def __init__(self, info: Any) -> None:
        self.info = info
        self.name = info.name
        self.order = str(info.format.order).rpartition(".")[2]
        self.is_nms = "NMS" in self.order
        #: Boxes by score and masks lie in bytes, whatever type was asked for.
        self.is_packed = self.order in ("HAILO_NMS_BY_SCORE", "HAILO_NMS_WITH_BYTE_MASK")
        self.native = str(info.format.type).rpartition(".")[2].lower()
        self.shape = () if self.is_nms else tuple(info.shape)
        #: Type of the frames that this program gives; the HEF's own until samples say otherwise.
        self.taken = self.native

    def scales(self, quant_infos: Any) -> tuple[Any, Any]:
        """Return zero points and scales, as scalars or with one number per feature."""
        import numpy as np

        zero = np.array([info.qp_zp for info in quant_infos], np.float32)
        scale = np.array([info.qp_scale for info in quant_infos], np.float32)
        return (zero, scale) if len(zero) > 1 else (zero[0], scale[0])


def match(wanted: list[dict[str, Any]], streams: list[Stream], key: str) -> list[Stream]:
    """Return the stream for each wanted entry: by name, else by the order in the HEF."""
    by_name = {stream.name: stream for stream in streams}
    if all(entry.get(key) in by_name for entry in wanted):
        return [by_name[entry[key]] for entry in wanted]
    if len(wanted) != len(streams):
        raise ValueError(
            "the HEF has %s %s, golden samples were made for %s"
            % (len(streams), [stream.name for stream in streams], [e.get(key) for e in wanted])
        )
    return streams


def rows_of(result: Any) -> list[list[float]]:
    """Return boxes as rows of six numbers, from any of HailoRT's forms."""
    rows: list[list[float]] = []
    if len(result) == 1 and isinstance(result[0], list):
        result = result[0]  # 4.18 gives a list of one frame
    for number, item in enumerate(result):
        if hasattr(item, "class_id"):  # by score: objects, best first
            rows.append([item.y_min, item.x_min, item.y_max, item.x_max, item.score, item.class_id])
        else:  # by class: one array (n, 5) for each class
            rows.extend([*map(float, box), number] for box in item)
    return rows


def buffer_of(frame: Any, kind: str, shape: Any) -> Any:
    """Return ``frame`` as HailoRT takes it: its type and size, in order, and writable.

    The binding takes the memory of every array as writable, inputs too: a slice of a
    memory-mapped file, or of a Pillow image, is copied. Raises ValueError for another size.
    """
    import numpy as np

    array = np.require(frame, kind, ["C_CONTIGUOUS", "WRITEABLE", "ENSUREARRAY"])
    wanted = int(np.prod(shape))
    if array.size != wanted:
        raise ValueError(
            "a frame has %d numbers (%s), the HEF wants %d (%s)"
            % (array.size, array.shape, wanted, tuple(shape))
        )
    return array


# --- The two interfaces ------------------------------------------------------------------------


class NewerInterface:
    """InferModel: what every chip and every HailoRT from 4.18 on has."""

    name = "infer_model"

    def __init__(
        self,
        device: Any,
        path: str,
        inputs: list[Stream],
        outputs: list[Stream],
        native: bool,
        timeout_ms: int,
    ) -> None:
        import hailo_platform as hailo

        self.timeout_ms = timeout_ms
        self.inputs, self.outputs, self.native = inputs, outputs, native
        self.model = device.create_infer_model(path)
        for stream in inputs:
            kind = getattr(hailo.FormatType, stream.taken.upper())
            self.model.input(stream.name).set_format_type(kind)
        for stream in outputs:
            kind = stream.native if native and not stream.is_nms else "float32"
            self.model.output(stream.name).set_format_type(getattr(hailo.FormatType, kind.upper()))
        self.configured = self.model.configure()
        self.configured.__enter__()

    def run(self, frames: list[Any]) -> list[Any]:
        """Run one frame: a list of arrays in the order of the inputs; return the outputs."""
        import numpy as np

        bindings = self.configured.create_bindings()
        for stream, frame in zip(self.inputs, frames):
            bindings.input(stream.name).set_buffer(buffer_of(frame, stream.taken, stream.shape))
        for stream in self.outputs:
            kind = stream.native if self.native and not stream.is_nms else "float32"
            kind = "uint8" if stream.is_packed else kind
            shape = tuple(self.model.output(stream.name).shape)
            bindings.output(stream.name).set_buffer(np.zeros(shape, kind))
        self.configured.wait_for_async_ready(timeout_ms=self.timeout_ms)
        self.configured.run([bindings], self.timeout_ms)
        results = []
        for stream in self.outputs:
            buffer = bindings.output(stream.name).get_buffer()
            if self.native and not stream.is_nms:
                quants = self.model.output(stream.name).quant_infos
                zero, scale = stream.scales(quants)
                buffer = (buffer.astype(np.float32) - zero) * scale
            results.append(buffer)
        return results

    def close(self) -> None:
        """Let go of the model."""
        self.configured.__exit__(None, None, None)


class OlderInterface:
    """InferVStreams: for HailoRT 4.17; Hailo-10H answers HAILO_NOT_IMPLEMENTED."""

    name = "vstreams"

    def __init__(
        self,
        device: Any,
        path: str,
        inputs: list[Stream],
        outputs: list[Stream],
        native: bool,
        timeout_ms: int,
    ) -> None:
        import hailo_platform as hailo

        self.inputs, self.outputs, self.native = inputs, outputs, native
        hef = hailo.HEF(path)
        params = hailo.ConfigureParams.create_from_hef(
            hef, interface=hailo.HailoStreamInterface.PCIe
        )
        self.group = device.configure(hef, params)[0]
        ins = {}
        for stream in inputs:
            kind = getattr(hailo.FormatType, stream.taken.upper())
            made = hailo.InputVStreamParams.make(
                self.group, format_type=kind, timeout_ms=timeout_ms
            )
            ins[stream.name] = made[stream.name]
        if any(stream.is_packed for stream in outputs):
            msg = "InferVStreams gives no boxes by score; InferModel of HailoRT 4.21 does"
            raise ValueError(msg)
        boxes = any(stream.is_nms for stream in outputs)
        kind = hailo.FormatType.AUTO if native and not boxes else hailo.FormatType.FLOAT32
        self.native = native and not boxes
        outs = hailo.OutputVStreamParams.make(self.group, format_type=kind, timeout_ms=timeout_ms)
        self.pipeline = hailo.InferVStreams(self.group, ins, outs)
        self.pipeline.__enter__()
        self.activation = self.group.activate(self.group.create_params())
        self.activation.__enter__()

    def run(self, frames: list[Any]) -> list[Any]:
        """Run one frame: a list of arrays in the order of the inputs; return the outputs."""
        import numpy as np

        data = {
            stream.name: buffer_of(frame, stream.taken, stream.shape)[None]
            for stream, frame in zip(self.inputs, frames)
        }
        found = self.pipeline.infer(data)
        results = []
        for stream in self.outputs:
            value = found[stream.name][0]
            if self.native:
                zero, scale = stream.scales([stream.info.quant_info])
                value = (value.astype(np.float32) - zero) * scale
            results.append(value)
        return results

    def close(self) -> None:
        """Let go of the model."""
        self.activation.__exit__(None, None, None)
        self.pipeline.__exit__(None, None, None)


# --- The job -----------------------------------------------------------------------------------


def work(request: dict[str, Any]) -> None:
    """Load the HEF, run every sample, write the outputs."""
    import hailo_platform as hailo
    import numpy as np

    tell(
        "hello",
        hailort=getattr(hailo, "__version__", None),
        emulated=bool(getattr(hailo, "__emulated__", False)),
        python=platform.python_version(),
        numpy=np.__version__,
        machine=platform.machine(),
    )
    hef = hailo.HEF(request["hef"])
    inputs = [Stream(info) for info in hef.get_input_vstream_infos()]
    outputs = [Stream(info) for info in hef.get_output_vstream_infos()]
    inputs = match(request["inputs"], inputs, "name")
    outputs = match(request["outputs"], outputs, "stream")
    arrays = [np.load(entry["file"], mmap_mode="r") for entry in request["inputs"]]
    total = len(arrays[0])
    for stream, array in zip(inputs, arrays):
        if array.dtype.kind == "f":  # HailoRT quantises; integers go to the chip as they are
            stream.taken = "float32"
    api = request.get("api", "auto")
    if api == "auto":
        api = "infer_model" if hasattr(hailo.VDevice, "create_infer_model") else "vstreams"
    interface = NewerInterface if api == "infer_model" else OlderInterface
    native = request.get("output_format", "float32") == "native"
    timeout_ms = int(request.get("timeout_ms", 10000))
    with open_chip(hailo) as device:
        model = interface(device, request["hef"], inputs, outputs, native, timeout_ms)
        try:
            tell(
                "loaded",
                api=model.name,
                inputs=[s.name for s in inputs],
                outputs=[s.name for s in outputs],
                samples=total,
            )
            run_samples(model, request, outputs, arrays, total)
        finally:
            model.close()


def run_samples(
    model: Any, request: dict[str, Any], outputs: list[Stream], arrays: list[Any], total: int
) -> None:
    """Run all samples, then the first one again and again."""
    import numpy as np

    stores: list[Any] = [None] * len(outputs)
    boxes: list[list[list[list[float]]]] = [[] for _ in outputs]
    told = time.monotonic()
    first: list[Any] = []
    for index in range(total):
        results = model.run([array[index] for array in arrays])
        if index == 0:
            first = [flat(result) for result in results]
        for place, (entry, stream, result) in enumerate(zip(request["outputs"], outputs, results)):
            if stream.is_nms:
                boxes[place].append(rows_of(result))
                continue
            if stores[place] is None:
                stores[place] = np.lib.format.open_memmap(
                    entry["file"], "w+", np.float32, (total, *np.shape(result))
                )
            stores[place][index] = result
        if time.monotonic() - told > 0.2 or index + 1 == total:
            told = time.monotonic()
            tell("progress", done=index + 1, total=total, unit="samples")
    repeat(model, request, arrays, first)
    for place, (entry, stream) in enumerate(zip(request["outputs"], outputs)):
        if stream.is_nms:
            offsets = np.cumsum([0] + [len(rows) for rows in boxes[place]]).astype(np.int64)
            flat_rows = [row for rows in boxes[place] for row in rows]
            table = np.array(flat_rows, np.float32).reshape(-1, 6)
            with Path(entry["file"]).open("wb") as file:
                np.savez(file, boxes=table, offsets=offsets)
        else:
            stores[place].flush()
        tell("output", stream=stream.name, file=entry["file"], nms=stream.is_nms)


def flat(result: Any) -> Any:
    """Return one output as one array, to compare runs."""
    import numpy as np

    if isinstance(result, np.ndarray):
        return np.array(result, np.float32).ravel()
    return np.array(rows_of(result), np.float32).ravel()


def repeat(model: Any, request: dict[str, Any], arrays: list[Any], first: list[Any]) -> None:
    """Run sample 0 again and say how many of the runs gave something else."""
    import numpy as np

    repeats = int(request.get("repeats", 5))
    different, largest = 0, 0.0
    for _ in range(repeats if len(first) else 0):
        again = model.run([array[0] for array in arrays])
        values = [flat(result) for result in again]
        same = all(np.array_equal(a, b) for a, b in zip(first, values))
        different += not same
        for a, b in zip(first, values):
            if a.shape == b.shape and a.size:
                largest = max(largest, float(np.abs(a - b).max()))
    tell("determinism", runs=repeats, different=different, largest_difference=largest)


if __name__ == "__main__":
    sys.exit(run_job(work))
