"""The model of this folder: pictures in, answers out, prepared as in training.

Needs Python 3.9, numpy, Pillow and hailo_platform (apt: python3-hailort, or python3-h10-hailort
for Hailo-10H). ``hefsmith.json`` beside this file says how pictures are prepared and what the
outputs mean; ``hefsmith_worker/pictures`` is the very code that prepared the calibration set.

    from hailo_model import Model

    with Model() as model:
        answer = model.run("street.jpg")          # or an array (H, W, 3), RGB, uint8
        for box in answer.boxes:
            print(box.label, box.score, box.left, box.top, box.right, box.bottom)
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).resolve().parent
# Our own code for pictures comes along as an archive; Python imports from it as it is.
for place in (str(HERE / "hefsmith_worker.zip"), str(HERE)):
    if place not in sys.path:
        sys.path.insert(0, place)

from hailo_answers import Answer, Box, Reader  # noqa: E402
from hailo_chip import open_chip  # noqa: E402

__all__ = ["Answer", "Box", "Model", "run_program"]

#: Milliseconds that one picture may take on the chip.
TIMEOUT_MS = 10000


#: What to install for a module that is missing.
PACKAGES = {
    "hailo_platform": "python3-hailort (Hailo-10H: python3-h10-hailort)",
    "numpy": "python3-numpy",
    "PIL": "python3-pil",
    "cv2": "python3-opencv",
    "paho": "python3-paho-mqtt",
    "picamera2": "python3-picamera2",
}


def run_program(main: Callable[[], int]) -> int:
    """Run a program's ``main``; a failure is one line, a traceback with HEFSMITH_DEBUG=1."""
    try:
        return main()
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        if os.environ.get("HEFSMITH_DEBUG") == "1":
            raise
        print("error: %s" % (str(error) or type(error).__name__), file=sys.stderr)
        missing = getattr(error, "name", None) if isinstance(error, ImportError) else None
        if "Pillow is not installed" in str(error):
            missing = "PIL"
        package = PACKAGES.get(str(missing).partition(".")[0])
        if package:
            print("hint:  sudo apt install %s" % package, file=sys.stderr)
        return 1


def buffer_of(frame: Any, kind: str) -> Any:
    """Return ``frame`` as HailoRT takes it: in order and writable, which Pillow's images are not.

    The binding takes the memory of inputs as writable too; what is right already is not copied.
    """
    import numpy as np

    return np.require(frame, kind, ["C_CONTIGUOUS", "WRITEABLE", "ENSUREARRAY"])


#: Orders whose boxes lie in bytes, whatever type was asked for.
PACKED = ("HAILO_NMS_BY_SCORE", "HAILO_NMS_WITH_BYTE_MASK")


class _Newer:
    """InferModel: HailoRT 4.18 and newer."""

    def __init__(self, device: Any, path: str, kinds: dict[str, str], outputs: list[Any]) -> None:
        import hailo_platform as hailo
        import numpy as np

        self._np, self._kinds = np, kinds
        self._model = device.create_infer_model(path)
        for name, kind in kinds.items():
            self._model.input(name).set_format_type(getattr(hailo.FormatType, kind.upper()))
        self._outputs = {}
        for info in outputs:
            self._model.output(info.name).set_format_type(hailo.FormatType.FLOAT32)
            packed = str(info.format.order).rpartition(".")[2] in PACKED
            self._outputs[info.name] = "uint8" if packed else "float32"
        self._configured = self._model.configure()
        self._configured.__enter__()

    def run(self, frames: dict[str, object]) -> dict[str, object]:
        bindings = self._configured.create_bindings()
        for name, frame in frames.items():
            bindings.input(name).set_buffer(buffer_of(frame, self._kinds[name]))
        for name, kind in self._outputs.items():
            shape = tuple(self._model.output(name).shape)
            bindings.output(name).set_buffer(self._np.zeros(shape, kind))
        self._configured.wait_for_async_ready(timeout_ms=TIMEOUT_MS)
        self._configured.run([bindings], TIMEOUT_MS)
        return {name: bindings.output(name).get_buffer() for name in self._outputs}

    def close(self) -> None:
        self._configured.__exit__(None, None, None)


class _Older:
    """InferVStreams: HailoRT 4.17."""

    def __init__(self, device: Any, kinds: dict[str, str], hef: Any) -> None:
        import hailo_platform as hailo

        params = hailo.ConfigureParams.create_from_hef(
            hef, interface=hailo.HailoStreamInterface.PCIe
        )
        group = device.configure(hef, params)[0]
        ins = {}
        for name, kind in kinds.items():
            chosen = getattr(hailo.FormatType, kind.upper())
            made = hailo.InputVStreamParams.make(group, format_type=chosen, timeout_ms=TIMEOUT_MS)
            ins[name] = made[name]
        outs = hailo.OutputVStreamParams.make(
            group, format_type=hailo.FormatType.FLOAT32, timeout_ms=TIMEOUT_MS
        )
        self._kinds = kinds
        self._pipeline = hailo.InferVStreams(group, ins, outs)
        self._pipeline.__enter__()
        self._activation = group.activate(group.create_params())
        self._activation.__enter__()

    def run(self, frames: dict[str, object]) -> dict[str, object]:
        data = {name: buffer_of(frame, self._kinds[name])[None] for name, frame in frames.items()}
        return {name: value[0] for name, value in self._pipeline.infer(data).items()}

    def close(self) -> None:
        self._activation.__exit__(None, None, None)
        self._pipeline.__exit__(None, None, None)


class Model:
    """A HEF on the chip. Use as a context manager, or call :meth:`close`."""

    def __init__(self, folder: Path = HERE) -> None:
        import hailo_platform as hailo
        import numpy as np
        from hefsmith_worker.pictures import Preprocess

        self.facts = json.loads((folder / "hefsmith.json").read_text(encoding="utf-8"))
        self.task = self.facts["task"]
        labels = folder / "labels.txt"
        self.labels = labels.read_text(encoding="utf-8").splitlines() if labels.is_file() else []
        self._preprocess = [
            Preprocess.from_dict(item["preprocess"]) for item in self.facts["inputs"]
        ]
        self._np = np
        path = str(folder / self.facts["hef"])
        hef = hailo.HEF(path)
        names = {info.name for info in hef.get_input_vstream_infos()}
        kinds = {}
        for item, preprocess in zip(self.facts["inputs"], self._preprocess):
            if item["name"] not in names:
                raise ValueError("the HEF has no input %s; it is of another build" % item["name"])
            kinds[item["name"]] = "float32" if preprocess.normalize == "host" else "uint8"
        infos = hef.get_output_vstream_infos()
        outputs = [info.name for info in infos]
        wanted = [item["stream"] for item in self.facts["outputs"]]
        streams = wanted if all(name in outputs for name in wanted) else outputs
        self._reader = Reader(self.facts, self.labels, streams)
        self._device = open_chip(hailo)
        self._runner: Any
        try:
            if hasattr(self._device, "create_infer_model"):
                self._runner = _Newer(self._device, path, kinds, infos)
            else:
                self._runner = _Older(self._device, kinds, hef)
        except BaseException:
            self._device.release()
            raise

    def __enter__(self) -> Model:  # noqa: PYI034 (Self came with Python 3.11)
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the chip."""
        self._runner.close()
        self._device.release()

    @property
    def preprocess(self) -> Any:
        """How pictures for the first input are prepared."""
        return self._preprocess[0]

    def run(self, *pictures: Any, shown: Optional[tuple[int, int]] = None) -> Answer:
        """Answer for one picture (one for each input): path, bytes, Pillow image or RGB array.

        ``shown`` is the (height, width) of the picture that answers are wanted for, where the
        one given is a smaller copy that was made for the network.
        """
        from hefsmith_worker.pictures import normalise, prepare_with_placement
        from hefsmith_worker.pictures.geometry import place

        if len(pictures) != len(self._preprocess):
            raise ValueError("%d pictures are needed, one for each input" % len(self._preprocess))
        frames, placements = {}, []
        for item, preprocess, picture in zip(self.facts["inputs"], self._preprocess, pictures):
            given = str(picture) if isinstance(picture, Path) else picture
            frame, placement = prepare_with_placement(given, preprocess)
            if preprocess.normalize == "host":
                frame = normalise(frame[None], preprocess)[0]
            frames[item["name"]] = frame
            placements.append(placement)
        if shown is not None and shown != placements[0].source:
            placements[0] = place(shown, self.preprocess)
        return self._reader.read(self._runner.run(frames), placements[0])
